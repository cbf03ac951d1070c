//! `disco node add`: one more given host.

use disco_proto::v1::{ConfigureRequest, NodeStatus, ScaleRequest, StatusResponse};
use disco_provider::{SshTarget, hosts};
use serde_json::{Value, json};

use super::{Founder, founder::provider_of};
use crate::{
    client::Client,
    error::{Failure, Outcome},
    project::{HOSTS_FILE, added, listed, quoted},
};

/// A host that `disco node add` names.
pub(crate) struct AddedHost {
    /// As the operator wrote it.
    pub(crate) name: String,
    /// Its SSH server.
    pub(crate) target: SshTarget,
}

impl Founder {
    /// The host of this name, as the operator's SSH configuration resolves it.
    pub(crate) fn named_host(&self, name: &str) -> Outcome<AddedHost> {
        if !self.gives_hosts() {
            return Err(Failure::usage(format!("the machines of `{}` are no given hosts", self.name))
                .hint("`disco scale nodes=N` starts and terminates machines"));
        }
        let route = self.sessions.config().route(name).map_err(|error| super::ssh_failure(&error.into()))?;
        for note in &route.notes {
            self.context.printer.warn(note);
        }
        Ok(AddedHost { name: name.to_owned(), target: route.last.target })
    }

    /// Adds the host to the cluster's hosts, after connecting to it. Nothing is changed if that fails.
    pub(crate) async fn add_host(&self, client: &Client, host: &AddedHost) -> Outcome<()> {
        let options = self.options_with(host);
        let provider = provider_of(&self.project, &self.name, "hosts", &options)?;
        let machines = provider.list().await.map_err(|error| super::provider_failure(&error))?;
        let machine = machines.into_iter().find(|machine| machine.ssh == host.target);
        let machine = machine.ok_or_else(|| Failure::failed(format!("the provider does not list `{}`", host.name)))?;
        let task = self.context.printer.task(&machine.name);
        // This authorizes the cluster's key: the leader installs the node.
        if let Err(failure) = self.connect(&self.operator_key().await?, None, &machine, &task).await {
            task.failed("cannot be used");
            return Err(failure);
        }
        task.done("accepts the cluster's SSH key");
        self.list_host(host)?;
        let spec = json!({ "kind": "hosts", "options": options });
        self.update(|record| record.provider.clone_from(&spec))?;
        let first = json!({ "kind": "hosts", "options": hosts::first(&options, &host.target) });
        let request = ConfigureRequest { provider: first.to_string(), ..ConfigureRequest::default() };
        let configured = client.call(|mut control| {
            let request = request.clone();
            async move { control.configure(request).await }
        });
        configured.await.map(|_| ())
    }

    /// Fills a vacancy, or adds one node.
    pub(crate) async fn grow(&self, client: &Client, status: &StatusResponse, detach: bool) -> Outcome<()> {
        let members = u32::try_from(status.nodes.len()).unwrap_or(u32::MAX);
        let nodes = status.desired_nodes.max(members.saturating_add(1));
        let request = ScaleRequest { nodes, detach, ..ScaleRequest::default() };
        client.follow(&self.context.printer, |mut control| async move { control.scale(request).await }).await
    }

    /// The provider's options with this host.
    fn options_with(&self, host: &AddedHost) -> Value {
        let mut options = self.provider_spec["options"].clone();
        let is_named = |entry: &Value| {
            let texts = [entry.as_str(), entry["ssh"].as_str(), entry["alias"].as_str()];
            let same =
                |text: &str| text == host.name || text.parse::<SshTarget>().is_ok_and(|other| other == host.target);
            texts.into_iter().flatten().any(same)
        };
        let list = options["hosts"].as_array().cloned().unwrap_or_default();
        if !list.iter().any(is_named) {
            let plain = host.name.parse::<SshTarget>().is_ok_and(|target| target == host.target);
            let entry = match plain {
                true => json!(host.name),
                false => json!({ "ssh": host.target.to_string(), "alias": host.name }),
            };
            options["hosts"] = list.into_iter().chain([entry]).collect();
        }
        options
    }

    /// Whether the script names this host, in whatever way.
    fn is_listed(&self, host: &AddedHost) -> bool {
        let endpoint = host.target.endpoint();
        let is_same = |entry: &Value| {
            let text = entry.as_str().or_else(|| entry["ssh"].as_str()).unwrap_or_default();
            text.parse::<SshTarget>().is_ok_and(|other| other.endpoint() == endpoint)
        };
        self.provider_spec["options"]["hosts"].as_array().is_some_and(|list| list.iter().any(is_same))
    }

    /// Adds the host to the project's list, or says what to add where. Changes nothing if the script names it already.
    pub(crate) fn list_host(&self, host: &AddedHost) -> Outcome<()> {
        if self.is_listed(host) {
            return Ok(());
        }
        let name = host.name.as_str();
        let path = self.project.root().join(HOSTS_FILE);
        let text = fs_err::read_to_string(&path).unwrap_or_default();
        if listed(&text).is_some_and(|hosts| hosts.iter().any(|host| host == name)) {
            return Ok(());
        }
        match added(&text, name) {
            Some(text) => {
                fs_err::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
                self.context.printer.note(&format!("`{HOSTS_FILE}`: added {}", quoted(name)));
            }
            None => self.context.printer.note(&format!(
                "add this to `hosts` of `HostsProvider.init` in `client.js` and `cluster.js`: {},",
                quoted(name)
            )),
        }
        Ok(())
    }
}

/// The node on this host.
pub(crate) fn existing_node<'a>(status: &'a StatusResponse, host: &AddedHost) -> Option<&'a NodeStatus> {
    let endpoint = host.target.endpoint();
    let is_there = |ssh: &str| ssh.parse::<SshTarget>().is_ok_and(|ssh| ssh.endpoint() == endpoint);
    status.nodes.iter().find(|node| node.instance == endpoint || is_there(&node.ssh))
}
