//! Installing a whole node.

use std::error::Error as StdError;

use super::{Binaries, Boot, InstallError, InstallProgress, NodeSettings, Permitted, Step};

/// The result of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Installed {
    /// `discod` was replaced.
    pub binaries_changed: bool,
    /// The service's settings have changed.
    pub settings_changed: bool,
    /// The service was started or restarted; false if it ran and was up to date.
    pub started: bool,
    /// Whether it starts at boot.
    pub boot: Boot,
}

impl Permitted {
    /// Installs the first node of a cluster. `sign` gets the node's signing request (PEM) and returns the JSON for
    /// `discod identity install`.
    ///
    /// Returns when the service has been started, before it answers.
    ///
    /// # Errors
    /// See [`Self::upload_binaries`]; a step that failed on the machine; `sign`'s.
    pub async fn install_first_node(
        &self,
        binaries: &Binaries,
        settings: &NodeSettings,
        sign: impl FnOnce(&str) -> Result<String, Box<dyn StdError + Send + Sync>> + Send,
        progress: &dyn InstallProgress,
    ) -> Result<Installed, InstallError> {
        self.install(binaries, settings, Some(sign), progress).await
    }

    /// Installs a node that joins with the token in its settings.
    ///
    /// Returns when the service has been started, before it answers.
    ///
    /// # Errors
    /// See [`Self::upload_binaries`]; a step that failed on the machine.
    pub async fn install_joining_node(
        &self,
        binaries: &Binaries,
        settings: &NodeSettings,
        progress: &dyn InstallProgress,
    ) -> Result<Installed, InstallError> {
        type Never = fn(&str) -> Result<String, Box<dyn StdError + Send + Sync>>;
        self.install(binaries, settings, None::<Never>, progress).await
    }

    async fn install(
        &self,
        binaries: &Binaries,
        settings: &NodeSettings,
        sign: Option<impl FnOnce(&str) -> Result<String, Box<dyn StdError + Send + Sync>> + Send>,
        progress: &dyn InstallProgress,
    ) -> Result<Installed, InstallError> {
        settings.check()?;
        self.check_architecture(binaries)?;
        self.check_clock(sign.is_none() && settings.join_token.is_some())?;
        progress.step(Step::Checking);
        let state = self.state().await?;
        let binaries_changed = self.upload_missing(binaries, &state, progress).await?;
        if let Some(sign) = sign {
            progress.step(Step::Identity);
            self.install_identity(settings, sign).await?;
        }
        let settings_changed = self.write_service(settings, &state).await?;
        let started = !state.running || state.outdated || binaries_changed || settings_changed;
        if started {
            progress.step(Step::Starting);
            if state.running {
                self.stop_service().await?;
            }
            self.start_service().await?;
        }
        let boot = self.start_with_machine().await?;
        progress.step(Step::Done);
        Ok(Installed { binaries_changed, settings_changed, started, boot })
    }
}
