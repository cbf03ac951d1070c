//! A machine for an installation.

use std::fmt::Write;
use std::time::Duration;

use super::{InstallError, Layout, Permitted, Probe};
use crate::ssh::{Output, Session, quote};

/// How long one step may take, apart from sending binaries.
const LIMIT: Duration = Duration::from_secs(60);

/// The beginning of scripts that need checksums: `sha256 FILE` prints a file's checksum, followed by a blank and more. OpenSSL uses the
/// processor's instructions, which is up to ten times as fast, but is not installed everywhere.
pub(super) const SUMS: &str = "sha256() { openssl dgst -sha256 -r < \"$1\" 2> /dev/null || sha256sum < \"$1\"; }\n";

/// A machine for an installation: connected and inspected. Changes require [`Self::permit`].
#[derive(Debug, Clone)]
pub struct Remote {
    pub(super) session: Session,
    pub(super) probe: Probe,
    pub(super) layout: Layout,
}

impl Remote {
    /// Inspects the machine of a connection.
    ///
    /// # Errors
    /// Errors of the connection, and a machine that Disco does not run on.
    pub async fn probe(session: Session) -> Result<Self, InstallError> {
        let probe = Probe::of(&session).await?;
        let layout = Layout::of(&probe);
        Ok(Self { session, probe, layout })
    }

    /// The connection.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The result of the inspection.
    pub fn machine(&self) -> &Probe {
        &self.probe
    }

    /// Treats it as a machine with its own disk, to which everything is sent.
    #[must_use]
    pub fn with_own_disk(mut self) -> Self {
        self.probe.local = false;
        self
    }

    /// Its paths.
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
    /// Writes files of the service in this order, each atomically.
    pub(super) async fn write(&self, files: &[ServiceFile]) -> Result<(), InstallError> {
        let mut script = format!("set -e; umask 077; mkdir -p {}", quote(&self.layout.service));
        let mut input = Vec::new();
        for file in files {
            // Contents are sent as input, as other users of the machine can see arguments; they are read byte by byte, so that each
            // file gets exactly its part.
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
