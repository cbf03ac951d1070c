//! The installation of a node that joins, over SSH.

use std::time::Duration;

use anyhow::{Context, Result};
use disco_proto::v1::Progress;
use disco_provider::install::{Binaries, Boot, InstallProgress, NodeSettings, Owner, Permitted, Remote, Step};
use parking_lot::Mutex;

use super::leading::{Installs, Site};
use crate::cluster::machines::provider as source;
use crate::cluster::tokens;
use crate::node::Leader;

/// Time for a new machine to answer SSH.
const BOOT: Duration = Duration::from_secs(180);
/// Validity of the join token that is sent to the machine.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// Lines of the service's log in the error of a node that does not join.
const LOG_LINES: usize = 10;

// === impl Leader ===

impl Installs for Leader {
    type Programs = Binaries;
    type Remote = Permitted;

    async fn programs(&self) -> Result<Binaries> {
        let own = std::env::current_exe().context("finding this program's own file")?;
        let client = own.with_file_name("disco");
        Ok(tokio::task::spawn_blocking(move || Binaries::from_paths(&client, &own)).await??)
    }

    async fn reach(&self, programs: &Binaries, site: &Site) -> Result<Permitted> {
        let Site { provider, record, machine } = site;
        let boots = provider.capabilities().boots;
        let session = source::connect(self, machine, boots, BOOT).await.context("reaching the machine over SSH")?;
        let owner = Owner { programs: programs.checksums(), ..source::owner(self, &record.token, None, machine) };
        Ok(Remote::probe(session).await?.permit(owner).await?)
    }

    async fn install(&self, programs: &Binaries, site: &Site, remote: &Permitted) -> Result<Boot> {
        let settings = settings(self, site, remote).await?;
        let installation = Installation { leader: self, name: &site.record.name, percent: Mutex::new(0) };
        let installed = remote.install_joining_node(programs, &settings, &installation).await.context("installing")?;
        Ok(installed.boot)
    }

    async fn log(&self, remote: &Permitted) -> String {
        remote.fetch_log(LOG_LINES).await.unwrap_or_default()
    }
}

async fn settings(leader: &Leader, site: &Site, remote: &Remote) -> Result<NodeSettings> {
    let Site { provider, record, machine } = site;
    let issued = tokens::issue_for_machine(leader, TOKEN_LIFE, &record.token).await?;
    Ok(NodeSettings {
        listen: remote.listen_address(machine),
        advertise: machine.control_address,
        public_address: machine.public_address,
        name: record.name.clone(),
        machine: Some(machine.id.clone()),
        pace: leader.raft().pace(),
        join_token: Some(issued.token),
        labels: Default::default(),
        env: provider.node_environment(),
    })
}

/// Reports an installation's steps as the cluster's progress.
struct Installation<'a> {
    leader: &'a Leader,
    name: &'a str,
    percent: Mutex<u64>,
}

impl InstallProgress for Installation<'_> {
    fn step(&self, step: Step) {
        let progress = Progress {
            subject: self.name.to_owned(),
            state: "installing".to_owned(),
            detail: match step {
                Step::Checking => "inspecting the machine".to_owned(),
                Step::Uploading { name } => format!("sending {name}"),
                Step::Identity => "creating its identity".to_owned(),
                Step::Starting => "starting the service".to_owned(),
                Step::Done => return,
            },
            ..Progress::default()
        };
        self.leader.progress(progress);
    }

    fn sent(&self, name: &'static str, sent: u64, total: u64) {
        let percent = sent * 100 / total.max(1);
        let mut shown = self.percent.lock();
        // One line for each quarter is enough for a log.
        if percent >= *shown + 25 {
            *shown = percent;
            self.leader.progress(Progress {
                subject: self.name.to_owned(),
                state: "installing".to_owned(),
                detail: format!("sending {name}, {percent} %"),
                ..Progress::default()
            });
        }
        if sent == total {
            *shown = 0;
        }
    }
}
