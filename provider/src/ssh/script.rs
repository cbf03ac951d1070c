//! Remote scripts, independent of the login shell and its output.

use std::io::{self, Cursor};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::exec::OUTPUT_LIMIT;
use super::frame::{Frame, Framed, shown};
use super::{Output, Session, SshError, Status, Stream};

impl Session {
    /// Runs a script with `/bin/sh`, with this input, for at most `limit` and with at most 4 MiB of output. Other output of the
    /// login shell is not included.
    ///
    /// # Errors
    /// Errors of the connection, and [`SshError::Unclear`] if the script's output cannot be separated; a script that fails is not
    /// an error here.
    pub async fn script(&self, script: &str, input: &[u8], limit: Duration) -> Result<Output, SshError> {
        let run = self.script_streaming(script, Cursor::new(input), |_| {});
        tokio::time::timeout(limit, run).await.map_err(|_| SshError::CommandTimeout {
            endpoint: self.target().endpoint(),
            command: script.lines().next().unwrap_or_default().chars().take(80).collect(),
            limit,
        })?
    }

    /// The same with input from a reader and no time limit but the reader's and the script's own. `sent` is called with the number
    /// of input bytes sent, chunk by chunk.
    ///
    /// # Errors
    /// As [`Self::script`].
    pub async fn script_streaming(
        &self,
        script: &str,
        input: impl AsyncRead + Send + Unpin,
        mut sent: impl FnMut(u64) + Send,
    ) -> Result<Output, SshError> {
        let no_random = || SshError::Input {
            endpoint: self.target().endpoint(),
            source: io::Error::other("the system has no random numbers"),
        };
        let frame = Frame::random().ok_or_else(no_random)?;
        let script = frame.script(script);
        let (mut stdout, mut stderr, mut full) = (Vec::new(), Vec::new(), false);
        let keep = |stream: Stream, data: Bytes| {
            let collected = if stream == Stream::Output { &mut stdout } else { &mut stderr };
            // Output beyond the limit is discarded, but read, so that the script can end.
            if collected.len() + data.len() <= OUTPUT_LIMIT {
                collected.extend_from_slice(&data);
            } else {
                full = true;
            }
        };
        let mut of_script = script.len() as u64;
        let sent = |count: u64| {
            let own = count.min(of_script);
            of_script -= own;
            sent(count - own);
        };
        let all = Cursor::new(script.as_bytes()).chain(input);
        let status = self.exec_streaming(&frame.command(&script), all, keep, sent).await?;
        if let Some(Framed { status, output }) = frame.read(&stdout) {
            return Ok(Output { status: Status::Code(status), stdout: output, stderr: frame.errors(&stderr).to_vec() });
        }
        if full {
            let (endpoint, limit) = (self.target().endpoint(), OUTPUT_LIMIT);
            return Err(SshError::TooMuchOutput { endpoint, command: "/bin/sh".to_owned(), limit });
        }
        let printed = shown(&[&stdout[..], b" ", frame.errors(&stderr)].concat());
        Err(SshError::Unclear { target: self.target().to_string(), status, printed })
    }
}
