//! Identities of nodes: making that of the first node, and installing a new certificate.

use std::error::Error as StdError;

use super::{InstallError, NodeSettings, Permitted, Remote, ServiceState};
use crate::ssh::quote;

impl Remote {
    /// The identity of the node on this machine: the JSON of `discod identity show`; `None` if there is no node. It changes
    /// nothing, and the daemon need not run.
    ///
    /// # Errors
    /// Errors of the connection and of the machine.
    pub async fn identity(&self) -> Result<Option<String>, InstallError> {
        let (discod, data) = (quote(&self.layout.binary("discod")), quote(&self.layout.data));
        let script = format!("[ -e {data}/node.json ] || exit 0; exec {discod} identity show --data-dir {data}");
        let text = self.step("read the node's identity", &script, &[]).await?.text();
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

impl Permitted {
    /// Makes the first node's identity: the node makes its key and a signing request, `sign` returns the signed identity (the JSON
    /// for `discod identity install`), and the node stores it. The key never leaves the node.
    pub(super) async fn install_identity(
        &self,
        settings: &NodeSettings,
        sign: impl FnOnce(&str) -> Result<String, Box<dyn StdError + Send + Sync>> + Send,
    ) -> Result<(), InstallError> {
        let (discod, data) = (quote(&self.layout.binary("discod")), quote(&self.layout.data));
        let request = format!(
            "umask 077; mkdir -p {data} && exec {discod} identity request --data-dir {data} --advertise {}",
            settings.advertise
        );
        const WHAT: &str = "make the node's identity";
        let request = self.step(WHAT, &request, &[]).await?.text();
        if !request.contains("BEGIN CERTIFICATE REQUEST") {
            return Err(InstallError::Answer { what: WHAT, endpoint: self.endpoint(), answer: request });
        }
        let answer = sign(&request).map_err(|source| InstallError::Sign { endpoint: self.endpoint(), source })?;
        let install = format!("exec {discod} identity install --data-dir {data}");
        self.step("store the node's identity", &install, answer.as_bytes()).await?;
        Ok(())
    }

    /// Installs a certificate (PEM, leaf first) for the node's existing key, and makes sure that the node runs. The daemon uses the
    /// certificate within seconds, without a restart.
    ///
    /// # Errors
    /// Errors of the connection and of the machine, which refuses an unusable certificate.
    pub async fn renew_identity(&self, chain: &str) -> Result<(), InstallError> {
        let (discod, data) = (quote(&self.layout.binary("discod")), quote(&self.layout.data));
        let script = format!("exec {discod} identity renew --data-dir {data}");
        self.step("store the node's certificate", &script, chain.as_bytes()).await?;
        if matches!(self.service_state().await?, ServiceState::Stopped | ServiceState::Missing) {
            self.start_service().await?;
        }
        Ok(())
    }
}
