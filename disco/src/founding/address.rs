//! The cluster's public address: which machine has it first, and which node the cluster gives it to.

use std::sync::PoisonError;

use disco_proto::v1::ConfigureRequest;

use super::founder::{Founder, provider_failure};
use super::presence::HEALTH_WITHIN;
use crate::error::{Failure, Outcome};
use crate::exit::ExitStatus;
use crate::project::ClusterRecord;

impl Founder {
    /// Attaches a permanent public address, if the provider supports it, to the first machine and later to the leader's, or to the
    /// named node.
    pub(crate) async fn attach_ip(&self, named: Option<&str>) -> Outcome<Option<String>> {
        if !self.can_attach_address() {
            return Ok(None);
        }
        let record = self.record()?;
        let machine = self.address_holder(&record, named).await?;
        let task = self.context.printer.task("address");
        task.state("attaching");
        let address = self.provider.attach_address(&machine).await.map_err(|error| provider_failure(&error))?;
        *self.address_node.lock().unwrap_or_else(PoisonError::into_inner) = Some(named.unwrap_or_default().to_owned());
        if record.founded {
            self.send_address_node().await?;
        }
        match address {
            Some(address) => task.done(&format!("{address} attached to {machine}")),
            None => task.done("nothing to attach"),
        }
        Ok(address.map(|address| address.to_string()))
    }

    /// Whether the provider has public addresses; a note says that it has none.
    pub(super) fn can_attach_address(&self) -> bool {
        let can = self.provider.capabilities().can_attach_address;
        if !can {
            let note = format!("the {} provider has no public addresses: nothing to attach", self.provider.kind());
            self.context.printer.note(&note);
        }
        can
    }

    /// The machine to attach the address to now.
    pub(super) async fn address_holder(&self, record: &ClusterRecord, named: Option<&str>) -> Outcome<String> {
        if let Some(named) = named {
            let machines = self.provider.list().await.map_err(|error| provider_failure(&error))?;
            let found = machines.into_iter().find(|machine| machine.name == named);
            return found.map(|machine| machine.id).ok_or_else(|| {
                Failure::new(ExitStatus::NotFound, format!("`attach_ip`: no machine `{named}`"))
                    .hint("use the name of a started machine: `disco nodes` lists them")
            });
        }
        // In a live cluster, use the leader's: the leader would move the address there a moment later anyway.
        if record.founded
            && let Ok(status) = self.existing()?.with_patience(HEALTH_WITHIN).settled().await
            && let Some(leader) = status.nodes.into_iter().find(|node| node.id == status.leader)
            && !leader.instance.is_empty()
        {
            return Ok(leader.instance);
        }
        let first = record.machines.iter().find_map(|machine| machine.id.clone());
        first.ok_or_else(|| Failure::usage("`attach_ip` needs a machine: call `start_instance` first"))
    }

    /// Sends the cluster the node for its public address, if the script called `attach_ip` in this run.
    pub(super) async fn send_address_node(&self) -> Outcome<()> {
        let address_node = self.address_node.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if address_node.is_none() {
            return Ok(());
        }
        let request = ConfigureRequest { address_node, ..ConfigureRequest::default() };
        let client = self.existing()?;
        let configured = client.call(|mut control| {
            let request = request.clone();
            async move { control.configure(request).await }
        });
        configured.await.map(|_| ())
    }
}
