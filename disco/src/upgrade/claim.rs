//! One operator at a time: the right to upgrade the cluster, which the cluster keeps.
//!
//! It is renewed as long as the command runs, looked at before every step, and ends by itself a few seconds after a client that has
//! died. The project remembers under which name it asked: whoever runs the command again there goes on at once.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use disco_proto::v1::{ClaimUpgradeRequest, ClaimUpgradeResponse};
use tokio::task::JoinHandle;
use tonic::{Code, Response};
use uuid::Uuid;

use crate::{
    client::Client,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::StateDir,
};

/// The file in `.disco/` with the name under which it is held.
const FILE: &str = "upgrade";
/// Several times in the time for which it stands.
const RENEW: Duration = Duration::from_secs(3);

pub(super) struct Claim {
    client: Client,
    state: StateDir,
    request: ClaimUpgradeRequest,
    /// Who has taken it over. That stands, although the other one may have ended meanwhile.
    lost: Arc<OnceLock<ClaimUpgradeResponse>>,
    renewing: JoinHandle<()>,
}

impl Claim {
    /// Refused (exit 5) while somebody else has it, unless it is to be taken over.
    pub(super) async fn take(client: &Client, state: StateDir, binary: &str, take_over: bool) -> Outcome<Self> {
        let holder = holder(&state)?;
        let by = format!("{}@{}", user(), rustix::system::uname().nodename().to_string_lossy());
        let request = ClaimUpgradeRequest { holder, by, binary: binary.to_owned(), take_over, release: false };
        let answer = ask(client, &request).await?;
        if let Some(held) = answer.filter(|answer| !answer.granted) {
            return Err(refused(&held));
        }
        let request = ClaimUpgradeRequest { take_over: false, ..request };
        let lost = Arc::new(OnceLock::new());
        let (renewed, renewal, noted) = (client.clone(), request.clone(), Arc::clone(&lost));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW).await;
                // While there is no leader it does not end.
                if let Ok(Some(held)) = ask(&renewed, &renewal).await
                    && !held.granted
                {
                    // Asked again later, it might be granted anew: the next step must not begin all the same.
                    let _ = noted.set(held);
                    return;
                }
            }
        });
        Ok(Self { client: client.clone(), state, request, lost, renewing })
    }

    /// Whether it still stands: asked before each step.
    pub(super) async fn check(&self) -> Outcome<()> {
        if let Some(held) = self.lost.get() {
            return Err(taken_over(held));
        }
        match ask(&self.client, &self.request).await? {
            Some(held) if !held.granted => Err(taken_over(&held)),
            _ => Ok(()),
        }
    }

    /// Gives it back. That it cannot be given back is no failure: it ends by itself.
    pub(super) async fn release(self) {
        self.renewing.abort();
        let request = ClaimUpgradeRequest { release: true, ..self.request.clone() };
        if ask(&self.client, &request).await.is_ok() {
            let _ = self.state.remove(FILE);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// `None` where the cluster runs a version that keeps no such right.
async fn ask(client: &Client, request: &ClaimUpgradeRequest) -> Outcome<Option<ClaimUpgradeResponse>> {
    let request = request.clone();
    let ask = move |mut control: crate::client::Control| {
        let request = request.clone();
        async move {
            match control.claim_upgrade(request).await {
                Err(status) if status.code() == Code::Unimplemented => Ok(Response::new(None)),
                answer => answer.map(|answer| answer.map(Some)),
            }
        }
    };
    client.call(ask).await
}

fn taken_over(held: &ClaimUpgradeResponse) -> Failure {
    let text = format!("{} has taken this upgrade over at {}", held.by, held.since);
    Failure::new(ExitStatus::Guarded, text).hint("let it end there; `disco status` shows what the nodes run")
}

fn refused(held: &ClaimUpgradeResponse) -> Failure {
    let ClaimUpgradeResponse { by, since, binary, remaining_ms, .. } = held;
    let binary = binary.get(..12).unwrap_or(binary);
    Failure::new(ExitStatus::Guarded, format!("{by} upgrades this cluster since {since}, to the binary {binary}…"))
        .hint(format!(
            "wait until it has ended; if that command is gone, it can be begun anew in {} s, or at once with \
             `disco upgrade --take-over`",
            remaining_ms.div_ceil(1_000)
        ))
}

/// Under which name this project asks: the same until the upgrade has ended.
fn holder(state: &StateDir) -> Outcome<String> {
    let known = state.read(FILE)?.and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(known) = known.filter(|text| text.trim().parse::<Uuid>().is_ok()) {
        return Ok(known.trim().to_owned());
    }
    let new = Uuid::new_v4().to_string();
    state.write(FILE, new.as_bytes())?;
    Ok(new)
}

fn user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    named.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}
