//! `discod report-end`: reports the unexpected end of a daemon to the cluster. The supervisor, or systemd, starts it.
//!
//! It uses the node's own certificate and the members' addresses that the daemon last knew. It writes nothing to the
//! data folder.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use disco_identity::{ChannelOptions, Expect, Identity};
use disco_proto::v1::{DaemonEnds, ReportEndRequest, ReportResponse};
use disco_provider::supervise::{self, Ends, EndsTold};
use futures_util::StreamExt;

use crate::args::ReportEndArgs;
use crate::home::Home;
use crate::peers::MemberClient;

/// Time limit if a supervisor started it, which does not wait: longer than the election of a new leader.
const LIMIT: Duration = Duration::from_secs(20);
/// Time limit under systemd, which waits for it before it restarts the daemon.
const SYSTEMD_LIMIT: Duration = Duration::from_secs(3);
/// Time limit for one member to answer.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Pause before a retry when no leader has answered.
const BETWEEN: Duration = Duration::from_millis(500);
/// Members called at the same time.
const AT_ONCE: usize = 3;

/// Reports an end, if one occurred.
///
/// # Errors
/// No leader received the report, and why.
pub fn run(args: &ReportEndArgs) -> Result<()> {
    let (ends, limit) = if args.systemd {
        let Some((ends, recorded)) = supervise::count_systemd(&args.dir) else { return Ok(()) };
        if let Err(error) = recorded {
            report_unrecorded(&error.into());
        }
        (ends, SYSTEMD_LIMIT)
    } else {
        let text = std::env::var(supervise::ENDS)
            .with_context(|| format!("`{}` is missing or not valid UTF-8", supervise::ENDS))?;
        (serde_json::from_str::<Ends>(&text).context("reading the counted ends")?, LIMIT)
    };
    let daemon = args.daemon()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let mut last = None;
    runtime.block_on(async {
        match tokio::time::timeout(limit, report(&daemon.data_dir, &ends, &mut last)).await {
            Ok(result) => result,
            Err(_) => match last {
                Some(last) => Err(last).with_context(|| format!("no leader accepted the report within {limit:?}")),
                None => bail!("no leader answered within {limit:?}"),
            },
        }
    })
}

#[expect(clippy::print_stderr, reason = "the journal has what its service writes")]
fn report_unrecorded(error: &anyhow::Error) {
    eprintln!("discod: cannot record the end of the daemon: {error:#}");
}

/// Repeats the report until a leader accepts it; `last` receives the reason of the last failure.
async fn report(data_dir: &Path, ends: &Ends, last: &mut Option<anyhow::Error>) -> Result<()> {
    let home = Home::existing(data_dir);
    let node = home.node()?.context("this node has not joined yet")?;
    let identity = Identity::new(home.credentials_to_report()?)?;
    let mut members = home.members();
    members.extend(node.members.iter().cloned());
    let mut known = std::collections::BTreeSet::new();
    members.retain(|address| known.insert(address.clone()));
    if members.is_empty() {
        bail!("the node knows no other member");
    }
    loop {
        let now = crate::clock::unix_ms();
        let request = ReportEndRequest { node_id: node.node_id, ends: Some(message(ends.told(now))) };
        let mut answers = futures_util::stream::iter(&members)
            .map(|address| ask(&identity, address.clone(), request.clone()))
            .buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) if answer.taken => return Ok(()),
                Ok(answer) if !answer.leader_address.is_empty() => {
                    match ask(&identity, answer.leader_address, request.clone()).await {
                        Ok(answer) if answer.taken => return Ok(()),
                        Ok(_) => {}
                        Err(error) => *last = Some(error),
                    }
                }
                Ok(_) => {}
                Err(error) => *last = Some(error),
            }
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

async fn ask(identity: &Identity, address: String, request: ReportEndRequest) -> Result<ReportResponse> {
    let channel = disco_identity::channel(&address, identity, Expect::AnyNode, &ChannelOptions::default());
    match tokio::time::timeout(ATTEMPT, MemberClient::new(channel).report_end(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => bail!("{address}: {error}"),
        Err(_) => bail!("{address}: no answer in {ATTEMPT:?}"),
    }
}

/// The form on the wire.
#[must_use]
pub fn message(ends: EndsTold) -> DaemonEnds {
    let EndsTold { count, ago_ms, how, words } = ends;
    DaemonEnds { count, ago_ms, how, words }
}
