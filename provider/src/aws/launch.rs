//! Starting a machine, at most once.
//!
//! Before a request, the machine is looked up by its token. The request carries a client token that is the same for all
//! callers, so of two concurrent requests one is refused and finds the other's machine. As zones are tried in turn, both may
//! still get a machine; then the older one stays, and the caller that made the younger one ends it.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::api::{BlockDevice, Instance, RunInstances};
use super::clients::Clients;
use super::error::CloudError;
use super::image::Image;
use super::instances::{self, is_present};
use super::names::{HOST_KEY, NAME, Names, TOKEN};
use super::network::Place;
use super::options::{StartOptions, Volume};
use super::user_data;
use crate::ssh::KeyPair;
use crate::start_request::ProgressSink;

/// Time for new resources to become visible (EC2 is eventually consistent): profiles, and machines of a concurrent caller.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// How long a request is retried that is throttled or fails at the service.
const RETRY_LIMIT: Duration = Duration::from_secs(90);

/// A machine to start.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) names: &'a Names,
    /// Its display name.
    pub(super) name: &'a str,
    pub(super) token: &'a str,
    pub(super) options: &'a StartOptions,
    pub(super) image: Image,
    pub(super) key_name: Option<String>,
    pub(super) authorized_keys: &'a [String],
    pub(super) security_group: String,
    pub(super) profile: Option<String>,
    /// The places, in the order in which they are tried.
    pub(super) places: Vec<Place>,
    pub(super) progress: &'a ProgressSink,
}

/// The machine with this token, if it exists. A machine of the same name with another token belongs to another caller.
pub(super) fn existing<'a>(found: &'a [Instance], name: &str, token: &str) -> Result<Option<&'a Instance>, CloudError> {
    let mut present = found.iter().filter(|one| is_present(one));
    match present.next() {
        None => Ok(None),
        Some(one) if instances::token(one) == Some(token) => Ok(Some(one)),
        Some(_) => Err(CloudError::Foreign {
            what: "the machine",
            name: name.to_owned(),
            why: "it belongs to another cluster of this name, or another operator is starting it now",
        }),
    }
}

impl Launch<'_> {
    /// Starts it in the first zone with capacity. Returns its id.
    pub(super) async fn run(&self, clients: &Clients, ended: &[Instance]) -> Result<String, CloudError> {
        let host_key = KeyPair::generate(self.name).map_err(|error| CloudError::Key { reason: error.to_string() })?;
        // The service remembers the client token of an ended machine of this name for a while.
        let after = ended.iter().rev().find(|one| !is_present(one)).and_then(|one| one.instance_id.as_deref());
        let own = self.options.user_data.as_deref();
        let data = user_data::encode(&host_key, self.authorized_keys, own)?;
        let mut last = None;
        for place in &self.places {
            self.progress.tell(&format!("requesting a machine in {}", place.zone));
            let client_token = self.names.client_token(self.name, &place.zone, after);
            let request = self.request(place, client_token, &host_key, &data)?;
            match send(clients, &request, self.progress).await {
                Ok(id) => return self.settle(clients, id).await,
                // The same token with another host key: another caller has requested this machine before.
                Err(error) if error.code() == "IdempotentParameterMismatch" => {
                    return self.others(clients, error).await;
                }
                Err(error) if error.is_capacity() => {
                    self.progress.tell(&format!("{} has no capacity", place.zone));
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let tried = self.places.iter().map(|place| place.zone.clone()).collect();
        let instance_type = self.options.instance_type.clone().unwrap_or_default();
        let reason = last.map(|error| error.to_string()).unwrap_or_default();
        Err(CloudError::Capacity { instance_type, tried, reason })
    }

    /// Of several machines with the same token the oldest one counts.
    async fn settle(&self, clients: &Clients, own: String) -> Result<String, CloudError> {
        let found = instances::named(clients, self.names, self.name).await?;
        let mut same = found.iter().filter(|one| is_present(one));
        match same.next().and_then(|one| Some((one.instance_id.as_deref()?, instances::token(one)))) {
            Some((oldest, token))
                if oldest != own && found.iter().any(|one| one.instance_id.as_deref() == Some(&own)) =>
            {
                instances::terminate(clients, &own).await?;
                if token == Some(self.token) {
                    return Ok(oldest.to_owned());
                }
                existing(&found, self.name, self.token).map(|_| own)
            }
            _ => Ok(own),
        }
    }

    /// The machine that another caller has requested with the same client token.
    async fn others(&self, clients: &Clients, refused: CloudError) -> Result<String, CloudError> {
        let look = || async {
            let found = instances::named(clients, self.names, self.name).await?;
            let id = existing(&found, self.name, self.token)?.and_then(|one| one.instance_id.clone());
            let late =
                || CloudError::Late { what: format!("machine `{}` was not listed", self.name), limit: SETTLE_LIMIT };
            id.ok_or_else(late)
        };
        let found = look.retry(pauses(SETTLE_LIMIT)).when(|error| matches!(error, CloudError::Late { .. })).await;
        found.map_err(|error| if matches!(error, CloudError::Late { .. }) { refused } else { error })
    }

    fn request(
        &self,
        place: &Place,
        client_token: String,
        host_key: &KeyPair,
        data: &str,
    ) -> Result<RunInstances, CloudError> {
        let (image, instance_type) = self.options.image_and_type()?;
        let marks = [
            (NAME, self.name.to_owned()),
            (TOKEN, self.token.to_owned()),
            (HOST_KEY, without_comment(&host_key.public_openssh())),
        ];
        Ok(RunInstances {
            image_id: image.to_owned(),
            instance_type: instance_type.to_owned(),
            client_token: Some(client_token),
            subnet_id: Some(place.subnet.clone()),
            security_group_id: Some(self.security_group.clone()),
            key_name: self.key_name.clone(),
            iam_instance_profile: self.profile.clone(),
            user_data: Some(data.to_owned()),
            protects_metadata: true,
            // An interrupted machine terminates: the cluster starts another, maybe in another zone.
            spot: self.options.spot,
            disk: self.disk(),
            tags: vec![
                self.names.specification("instance", "node", &marks),
                self.names.specification("volume", "node", &marks[..1]),
            ],
        })
    }

    fn disk(&self) -> Option<BlockDevice> {
        let volume = self.options.volume.as_ref().map(Volume::options)?;
        Some(BlockDevice {
            device_name: self.image.root_device.clone().unwrap_or_else(|| "/dev/sda1".to_owned()),
            volume_size: volume.size,
            volume_type: volume.kind,
            iops: volume.iops,
            encrypted: volume.encrypted,
        })
    }
}

/// Sends the request, with retries within the limit.
async fn send(clients: &Clients, request: &RunInstances, progress: &ProgressSink) -> Result<String, CloudError> {
    // Failures are classified here: the runtime would retry in a zone without capacity.
    let ec2 = clients.ec2.once();
    let send = || async {
        let started = ec2.run_instances(request).await?;
        started.into_iter().next().and_then(|one| one.instance_id).ok_or_else(|| CloudError::Refused {
            call: "RunInstances",
            code: "NoAnswer".into(),
            reason: "the answer names no machine".into(),
        })
    };
    send.retry(pauses(RETRY_LIMIT))
        .when(|error| error.may_pass() || is_young_profile(error))
        .notify(|error, _| progress.tell(&format!("retrying: {error}")))
        .await
}

/// EC2 does not know a new profile for some seconds.
fn is_young_profile(error: &CloudError) -> bool {
    match error {
        CloudError::Refused { code, reason, .. } => {
            code == "InvalidParameterValue" && reason.to_lowercase().contains("iam instance profile")
        }
        _ => false,
    }
}

fn pauses(limit: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .with_total_delay(Some(limit))
        .without_max_times()
}

/// The key's kind and data without the comment, as the values of tags are short.
fn without_comment(public: &str) -> String {
    public.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::api::InstanceState;
    use super::super::names::tag;
    use super::*;

    fn machine(id: &str, state: InstanceState, token: &str) -> Instance {
        let tags = vec![tag(TOKEN, token)];
        Instance { instance_id: Some(id.to_owned()), state: Some(state), tags, ..Instance::default() }
    }

    #[test]
    fn a_machine_that_is_there_is_found_by_its_token() {
        let found = [machine("i-1", InstanceState::Terminated, "t"), machine("i-2", InstanceState::Stopped, "t")];
        let one = existing(&found, "web-1", "t").unwrap().unwrap();
        assert_eq!(one.instance_id.as_deref(), Some("i-2"));
        assert!(existing(&found[..1], "web-1", "t").unwrap().is_none());
    }

    #[test]
    fn a_machine_of_the_same_name_and_another_token_is_someone_elses() {
        let found = [machine("i-1", InstanceState::Running, "other")];
        assert!(matches!(existing(&found, "web-1", "t"), Err(CloudError::Foreign { .. })));
    }

    #[test]
    fn a_host_key_fits_into_a_tag() {
        let key = without_comment(&KeyPair::generate("some comment").unwrap().public_openssh());
        assert!(key.starts_with("ssh-ed25519 AAAA") && key.len() < 256, "{key}");
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c)), "{key}");
    }

    #[test]
    fn a_profile_that_was_just_made_is_waited_for() {
        let refused = |code: &str, reason: &str| CloudError::Refused {
            call: "RunInstances",
            code: code.to_owned(),
            reason: reason.to_owned(),
        };
        let young = refused(
            "InvalidParameterValue",
            "Value (x) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        );
        assert!(is_young_profile(&young));
        assert!(!is_young_profile(&refused("InvalidParameterValue", "another one")));
    }
}
