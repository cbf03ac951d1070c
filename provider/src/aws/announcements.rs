//! Interruptions of spot machines, and maintenance that ends a machine, as reported by its metadata service.
//!
//! A spot machine is warned two minutes before its end, and should poll every five seconds
//! (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>); a retirement is scheduled days
//! before, so other machines poll rarely.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::imds::Client;
use aws_config::imds::client::error::ImdsError;
use aws_smithy_http_client::Builder as HttpBuilder;
use serde::Deserialize;

use super::error::CloudError;
use super::imds;
use crate::{Announcements, ProviderError};

/// Time between two polls on a spot machine, and on any other.
const SPOT_PAUSE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(60);
/// How many polls a spot machine makes between two polls for scheduled events.
const LOOKS: u32 = 12;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const LIFE_CYCLE: &str = "/latest/meta-data/instance-life-cycle";
const SPOT: &str = "/latest/meta-data/spot/instance-action";
const SCHEDULED: &str = "/latest/meta-data/events/maintenance/scheduled";

/// The metadata service of one machine.
#[derive(Debug)]
pub(super) struct MachineAnnouncements {
    client: Client,
    /// The id of the machine that this node was started on.
    instance: String,
    /// Whether it is a spot machine; `None` before the first answer.
    spot: Option<bool>,
    scheduled: Option<String>,
    looks: u32,
}

impl MachineAnnouncements {
    /// Makes no request yet.
    pub(super) fn new(instance: &str) -> Self {
        // The service speaks plain HTTP: no certificates are loaded for it.
        let client = imds::client(&HttpBuilder::new().build_http());
        Self { client, instance: instance.to_owned(), spot: None, scheduled: None, looks: 0 }
    }

    /// The text at a path; `None` if the service has none.
    async fn get(&self, path: &'static str) -> Result<Option<String>, CloudError> {
        match self.client.get(path).await {
            Ok(text) => Ok(Some(text.as_ref().to_owned())),
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => Ok(None),
            Err(error) => Err(CloudError::Unreachable { call: path, reason: error.to_string() }),
        }
    }

    /// Whether it is a spot machine, requested once. An answer about another machine is an error.
    async fn is_spot(&mut self) -> Result<bool, CloudError> {
        if let Some(known) = self.spot {
            return Ok(known);
        }
        let described = self.get(INSTANCE_ID).await?.unwrap_or_default();
        if described.trim() != self.instance {
            let reason =
                format!("it describes machine `{}`, but this node is on `{}`", described.trim(), self.instance);
            return Err(CloudError::Unreachable { call: INSTANCE_ID, reason });
        }
        let spot = self.get(LIFE_CYCLE).await?.is_some_and(|text| text.trim() == "spot");
        self.spot = Some(spot);
        Ok(spot)
    }

    async fn announced(&mut self) -> Result<Option<String>, CloudError> {
        let spot = self.is_spot().await?;
        if spot && let Some(text) = self.get(SPOT).await? {
            return Ok(Some(interruption(&text)));
        }
        if !spot || self.looks.is_multiple_of(LOOKS) {
            self.scheduled = self.get(SCHEDULED).await?.and_then(|text| scheduled_end(&text));
        }
        self.looks = self.looks.wrapping_add(1);
        Ok(self.scheduled.clone())
    }
}

#[async_trait]
impl Announcements for MachineAnnouncements {
    async fn read(&mut self) -> Result<Option<String>, ProviderError> {
        Ok(self.announced().await?)
    }

    fn pause(&self) -> Duration {
        if self.spot == Some(true) { SPOT_PAUSE } else { PAUSE }
    }
}

/// `{ "action": "terminate", "time": "2017-09-18T08:22:00Z" }`.
#[derive(Deserialize)]
struct Interruption {
    action: String,
    time: String,
}

/// The announcement as text. One that cannot be parsed still counts.
fn interruption(text: &str) -> String {
    match serde_json::from_str::<Interruption>(text) {
        Ok(Interruption { action, time }) => format!("spot interruption, {action} at {time}"),
        Err(_) => "spot interruption".to_owned(),
    }
}

/// An event of the list at [`SCHEDULED`].
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scheduled {
    code: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    not_before: String,
    #[serde(default)]
    state: String,
}

/// The first event that ends or stops the machine and was not cancelled. A reboot does not count: the machine continues after it.
fn scheduled_end(text: &str) -> Option<String> {
    let events: Vec<Scheduled> = serde_json::from_str(text).ok()?;
    let ends = |event: &&Scheduled| matches!(event.code.as_str(), "instance-retirement" | "instance-stop");
    // Older events have no state, but `[Completed] …` or `[Canceled] …` in the description.
    let over = |event: &Scheduled| {
        matches!(event.state.as_str(), "completed" | "canceled") || event.description.starts_with('[')
    };
    let event = events.iter().filter(ends).find(|event| !over(event))?;
    let when = if event.not_before.is_empty() { String::new() } else { format!(" after {}", event.not_before) };
    Some(format!("{}{when}", event.code.replace('-', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_is_one_whatever_it_looks_like() {
        let text = r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#;
        assert_eq!(interruption(text), "spot interruption, terminate at 2017-09-18T08:22:00Z");
        assert_eq!(interruption("soon"), "spot interruption");
    }

    #[test]
    fn only_what_ends_a_machine_counts_and_only_while_it_is_to_come() {
        let event = |code: &str, state: &str, description: &str| {
            format!(
                r#"[{{"NotBefore": "21 Jan 2019 09:00:43 GMT", "Code": "{code}", "Description": "{description}",
                "EventId": "instance-event-1", "NotAfter": "21 Jan 2019 09:17:23 GMT", "State": "{state}"}}]"#
            )
        };
        let retired = event("instance-retirement", "active", "degraded hardware");
        assert_eq!(scheduled_end(&retired).as_deref(), Some("instance retirement after 21 Jan 2019 09:00:43 GMT"));
        assert!(scheduled_end(&event("instance-stop", "active", "")).is_some());
        for other in [
            event("system-reboot", "active", ""),
            event("instance-retirement", "canceled", ""),
            event("instance-retirement", "", "[Completed] The instance was running on degraded hardware"),
            "[]".to_owned(),
            "not found".to_owned(),
        ] {
            assert_eq!(scheduled_end(&other), None, "{other}");
        }
    }
}
