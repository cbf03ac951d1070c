//! A machine to install on.

use std::fmt::Write;
use std::time::Duration;

use super::{InstallError, Layout, Permitted, Probe};
use crate::ssh::{Output, Session, quote};

/// How long one step may take, apart from sending binaries.
const LIMIT: Duration = Duration::from_secs(60);

/// Begins scripts that look at programs: `sha256 FILE` prints a file's checksum, and more behind a blank. OpenSSL uses the processor's own
/// instructions, which is up to ten times as fast; it is not everywhere.
pub(super) const SUMS: &str = "sha256() { openssl dgst -sha256 -r < \"$1\" 2> /dev/null || sha256sum < \"$1\"; }\n";

/// A machine to install on: connected, and known in its kind. What changes it takes [`Self::permit`].
#[derive(Debug, Clone)]
pub struct Remote {
    pub(super) session: Session,
    pub(super) probe: Probe,
    pub(super) layout: Layout,
}

impl Remote {
    /// Looks what kind of machine is behind a connection.
    ///
    /// # Errors
    /// The connection's, and a machine that Disco does not run on.
    pub async fn probe(session: Session) -> Result<Self, InstallError> {
        let probe = Probe::of(&session).await?;
        let layout = Layout::of(&probe);
        Ok(Self { session, probe, layout })
    }

    /// The connection.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What was found.
    pub fn machine(&self) -> &Probe {
        &self.probe
    }

    /// Takes it for a machine with a disk of its own: everything is sent to it.
    #[must_use]
    pub fn with_own_disk(mut self) -> Self {
        self.probe.local = false;
        self
    }

    /// Where things are on it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn endpoint(&self) -> String {
        self.session.target().endpoint()
    }

    /// Runs a script that must succeed.
    pub(super) async fn step(&self, what: &'static str, script: &str, input: &[u8]) -> Result<Output, InstallError> {
        Self::run(&self.session, what, script, input).await
    }

    pub(super) async fn run(
        session: &Session,
        what: &'static str,
        script: &str,
        input: &[u8],
    ) -> Result<Output, InstallError> {
        let output = session.script(script, input, LIMIT).await?;
        if output.status.success() {
            return Ok(output);
        }
        let endpoint = session.target().endpoint();
        Err(InstallError::Command { what, endpoint, stderr: output.error_text(), status: output.status })
    }
}

impl Permitted {
    /// Writes files of the service, each of which is there whole or not at all, in this order.
    pub(super) async fn write(&self, files: &[ServiceFile]) -> Result<(), InstallError> {
        let mut script = format!("set -e; umask 077; mkdir -p {}", quote(&self.layout.service));
        let mut input = Vec::new();
        for file in files {
            // Contents come by the input, as others on the machine can see arguments; byte by byte, so that each file takes
            // exactly its own.
            let _ = write!(
                script,
                "; f={}; dd bs=1 count={} of=\"$f.tmp\" 2> /dev/null; chmod {} \"$f.tmp\"; mv -f \"$f.tmp\" \"$f\"",
                quote(&file.path),
                file.content.len(),
                file.mode
            );
            input.extend_from_slice(file.content.as_bytes());
        }
        self.step("write the service's files", &script, &input).await?;
        Ok(())
    }
}

/// A file of the service.
#[derive(Clone)]
pub(super) struct ServiceFile {
    pub(super) path: String,
    pub(super) content: String,
    /// Its permission bits, in octal digits.
    pub(super) mode: &'static str,
}
