//! Scripts on the other side, whatever its login shell is and prints.

use std::io::{self, Cursor};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::exec::OUTPUT_LIMIT;
use super::frame::{Frame, Framed, shown};
use super::{Output, Session, SshError, Status, Stream};

impl Session {
    /// Runs a script by `/bin/sh`, with this input, for at most so long and with at most 4 MiB of output. What the login shell
    /// prints besides is no part of the output.
    ///
    /// # Errors
    /// The connection's, and [`SshError::Unclear`] where it cannot be told what the script has said; a script that fails is no
    /// error here.
    pub async fn script(&self, script: &str, input: &[u8], limit: Duration) -> Result<Output, SshError> {
        let run = self.script_streaming(script, Cursor::new(input), |_| {});
        tokio::time::timeout(limit, run).await.map_err(|_| SshError::CommandTimeout {
            endpoint: self.target().endpoint(),
            command: script.lines().next().unwrap_or_default().chars().take(80).collect(),
            limit,
        })?
    }

    /// The same with input from a reader and no time limit but the reader's and the script's own. `sent` hears how many bytes
    /// of the input have gone out, piece by piece.
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
            let kept = if stream == Stream::Output { &mut stdout } else { &mut stderr };
            // More is no answer to anything, and is read so that the script can end.
            if kept.len() + data.len() <= OUTPUT_LIMIT {
                kept.extend_from_slice(&data);
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
