//! The first node's identity.

use std::error::Error as StdError;

use super::{InstallError, NodeSettings, Remote};
use crate::ssh::quote;

impl Remote {
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
}
