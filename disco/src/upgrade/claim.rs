//! The upgrade claim: a leased record in the cluster that lets one operator at a time upgrade it.
//!
//! The client renews it while the command runs and checks it before every step; it expires a few seconds after a client that has
//! died. The project stores the holder's name, so that the command continues at once when it is run there again.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use disco_proto::v1::{ClaimUpgradeRequest, ClaimUpgradeResponse, UpgradeStep, upgrade_step::Kind};
use tokio::task::JoinHandle;
use tonic::{Code, Response};
use uuid::Uuid;

use crate::{
    client::Client,
    error::{Failure, Outcome},
    exit::ExitStatus,
    project::StateDir,
};

/// The file in `.disco/` with the holder's name.
const FILE: &str = "upgrade";
/// Several times within the lease.
const RENEW: Duration = Duration::from_secs(3);

pub(super) struct Claim {
    client: Client,
    state: StateDir,
    request: ClaimUpgradeRequest,
    /// The client that has taken it over. The claim stays lost even if that client has ended meanwhile.
    lost: Arc<OnceLock<ClaimUpgradeResponse>>,
    renewing: JoinHandle<()>,
}

impl Claim {
    /// Fails (exit 5) while another client holds the claim, unless `take_over` is set.
    pub(super) async fn take(client: &Client, state: StateDir, binary: &str, take_over: bool) -> Outcome<Self> {
        let holder = holder(&state)?;
        let by = format!("{}@{}", user(), rustix::system::uname().nodename().to_string_lossy());
        let request =
            ClaimUpgradeRequest { holder, by, binary: binary.to_owned(), take_over, ..ClaimUpgradeRequest::default() };
        let answer = send(client, &request).await?;
        if let Some(held) = answer.filter(|answer| !answer.granted) {
            return Err(refused(&held));
        }
        let request = ClaimUpgradeRequest { take_over: false, ..request };
        let lost = Arc::new(OnceLock::new());
        let (renewed, renewal, noted) = (client.clone(), request.clone(), Arc::clone(&lost));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW).await;
                // Without a leader, the claim does not expire.
                if let Ok(Some(held)) = send(&renewed, &renewal).await
                    && !held.granted
                {
                    // A later request might be granted, but the next step must not start.
                    let _ = noted.set(held);
                    return;
                }
            }
        });
        Ok(Self { client: client.clone(), state, request, lost, renewing })
    }

    /// Checks that the claim is still held. Called before each step.
    pub(super) async fn check(&self) -> Outcome<()> {
        if let Some(held) = self.lost.get() {
            return Err(taken_over(held));
        }
        match send(&self.client, &self.request).await? {
            Some(held) if !held.granted => Err(taken_over(&held)),
            _ => Ok(()),
        }
    }

    /// Reports a step, of which the cluster makes an event. Ignores failures: the upgrade does not depend on its events.
    pub(super) async fn report(&self, kind: Kind, node_id: u64, reason: &str) {
        // Times increase also from one run of the command to the next.
        let number = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
        let step = UpgradeStep { kind: kind.into(), number, node_id, reason: reason.to_owned() };
        let request = ClaimUpgradeRequest { step: Some(step), ..self.request.clone() };
        if let Err(failure) = send(&self.client, &request).await {
            tracing::debug!(%failure, "a step of the upgrade was not reported");
        }
    }

    /// Releases the claim. Ignores failures, since it expires anyway.
    pub(super) async fn release(self) {
        self.renewing.abort();
        let request = ClaimUpgradeRequest { release: true, ..self.request.clone() };
        if send(&self.client, &request).await.is_ok() {
            let _ = self.state.remove(FILE);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// `None` if the cluster runs a version without upgrade claims.
async fn send(client: &Client, request: &ClaimUpgradeRequest) -> Outcome<Option<ClaimUpgradeResponse>> {
    let request = request.clone();
    let send = move |mut control: crate::client::Control| {
        let request = request.clone();
        async move {
            match control.claim_upgrade(request).await {
                Err(status) if status.code() == Code::Unimplemented => Ok(Response::new(None)),
                answer => answer.map(|answer| answer.map(Some)),
            }
        }
    };
    client.call(send).await
}

fn taken_over(held: &ClaimUpgradeResponse) -> Failure {
    let text = format!("{} has taken this upgrade over at {}", held.by, held.since);
    Failure::new(ExitStatus::Guarded, text).hint("let that client finish; `disco status` shows what the nodes run")
}

fn refused(held: &ClaimUpgradeResponse) -> Failure {
    let ClaimUpgradeResponse { by, since, binary, remaining_ms, .. } = held;
    let binary = binary.get(..12).unwrap_or(binary);
    Failure::new(ExitStatus::Guarded, format!("{by} upgrades this cluster since {since}, to the binary {binary}…"))
        .hint(format!(
            "wait until it ends; if that client is dead, the claim expires in {} s, or take the upgrade over at once with \
             `disco upgrade --take-over`",
            remaining_ms.div_ceil(1_000)
        ))
}

/// The name under which this project holds the claim: the same until the upgrade has ended.
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
