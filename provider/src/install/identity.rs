//! Nodes' identities: the first one's, and what is needed to give a node a new certificate.

use std::error::Error as StdError;

use super::{InstallError, NodeSettings, Permitted, Remote, ServiceState};
use crate::ssh::quote;

impl Remote {
    /// Who the node on this machine is: the JSON that `discod identity show` prints; `None` where there is no node. It changes
    /// nothing, and the daemon need not run.
    ///
    /// # Errors
    /// The connection's, and what the machine says.
    pub async fn identity(&self) -> Result<Option<String>, InstallError> {
        let (discod, data) = (quote(&self.layout.binary("discod")), quote(&self.layout.data));
        let script = format!("[ -e {data}/node.json ] || exit 0; exec {discod} identity show --data-dir {data}");
        let text = self.step("read the node's identity", &script, &[]).await?.text();
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

impl Permitted {
    /// Makes the first node's identity: the node makes its key and asks for a signature, `sign` gives the answer (the JSON that
    /// `discod identity install` reads), and the node stores it. The key never leaves the node.
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

    /// Gives the node a certificate (PEM, leaf first) for the key that it has, and has it run. The daemon uses the certificate
    /// within seconds, without a restart.
    ///
    /// # Errors
    /// The connection's, and what the machine says: a certificate that is of no use there is not taken.
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
