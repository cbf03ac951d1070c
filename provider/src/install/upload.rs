//! Sending binaries.

use std::time::Duration;

use tokio::fs::File;

use super::remote::SUMS;
use super::state::State;
use super::{Binaries, Binary, InstallError, InstallProgress, Permitted, Remote, Room, Step};
use crate::ssh::{SshError, Status, quote};

/// Free space that must remain for the node's data.
const SLACK: u64 = 32 << 20;
/// Exit codes of the scripts below.
const BAD_CHECKSUM: u32 = 90;
const DOES_NOT_START: u32 = 91;
const NO_COPY: u32 = 92;
/// How long copying within a disk may take.
const COPY_LIMIT: Duration = Duration::from_secs(60);

impl Remote {
    /// Refuses binaries for another architecture.
    pub(super) fn check_architecture(&self, binaries: &Binaries) -> Result<(), InstallError> {
        match binaries.both().into_iter().find(|binary| binary.architecture() != self.probe.architecture) {
            None => Ok(()),
            Some(binary) => Err(InstallError::WrongArchitecture {
                path: binary.path().to_path_buf(),
                name: binary.name(),
                binary: binary.architecture(),
                endpoint: self.endpoint(),
                machine: self.probe.architecture,
            }),
        }
    }

    /// Refuses binaries that do not fit on the disk.
    pub(super) fn check_room(&self, binaries: &[&Binary]) -> Result<(), InstallError> {
        if binaries.is_empty() {
            return Ok(());
        }
        match too_small(&self.probe.rooms, binaries.iter().map(|binary| binary.size()).sum()) {
            None => Ok(()),
            Some((room, needed)) => {
                let (dir, free) = (room.dir.clone(), room.free);
                Err(InstallError::NoSpace { endpoint: self.endpoint(), dir, free, needed })
            }
        }
    }

    /// Refuses binaries whose dynamic loader is missing.
    pub(super) async fn check_interpreters(&self, binaries: &[&Binary]) -> Result<(), InstallError> {
        let mut found: Vec<&str> = Vec::new();
        for binary in binaries {
            let Some(interpreter) = binary.interpreter().filter(|path| !found.contains(path)) else { continue };
            let test = format!("test -e {} && echo there || true", quote(interpreter));
            if self.step("look for the dynamic loader", &test, &[]).await?.text() != "there" {
                return Err(InstallError::NoInterpreter {
                    path: binary.path().to_path_buf(),
                    interpreter: interpreter.to_owned(),
                    endpoint: self.endpoint(),
                    machine: self.probe.architecture,
                });
            }
            found.push(interpreter);
        }
        Ok(())
    }
}

impl Permitted {
    /// Sends the missing binaries, each verified before it gets its name. Returns whether `discod` was
    /// replaced.
    ///
    /// # Errors
    /// Before anything is sent: a binary for another architecture, a missing dynamic loader, too little free space. Then errors of
    /// the connection, a checksum that differs, a binary that does not start.
    pub async fn upload_binaries(
        &self,
        binaries: &Binaries,
        progress: &dyn InstallProgress,
    ) -> Result<bool, InstallError> {
        self.check_architecture(binaries)?;
        progress.step(Step::Checking);
        let state = self.state().await?;
        self.upload_missing(binaries, &state, progress).await
    }

    pub(super) async fn upload_missing(
        &self,
        binaries: &Binaries,
        state: &State,
        progress: &dyn InstallProgress,
    ) -> Result<bool, InstallError> {
        let there = |binary: &Binary| state.has(&self.layout.binary(binary.name()), binary.sha256());
        let missing: Vec<&Binary> = binaries.both().into_iter().filter(|binary| !there(binary)).collect();
        if missing.is_empty() {
            self.claim(&[]).await?;
            return Ok(false);
        }
        self.check_room(&missing)?;
        self.check_interpreters(&missing).await?;
        let present = missing.iter().filter_map(|binary| {
            let path = self.layout.binary(binary.name());
            let sum = state.sum(&path)?.to_owned();
            Some((path, sum))
        });
        self.check_replaceable(&present.collect::<Vec<_>>()).await?;
        self.claim(&missing).await?;
        for binary in &missing {
            progress.step(Step::Uploading { name: binary.name() });
            // The service does not run the client.
            self.upload(binary, binary.name(), binary.name() == "discod", progress).await?;
        }
        Ok(missing.iter().any(|binary| binary.name() == "discod"))
    }

    /// Sends a binary, which gets this name; `mark`: the service must be restarted for it.
    pub(super) async fn upload(
        &self,
        binary: &Binary,
        place: &str,
        mark: bool,
        progress: &dyn InstallProgress,
    ) -> Result<(), InstallError> {
        let end = self.end_of_upload(place, mark);
        if self.probe.local && self.copy(binary, place, &end).await? {
            progress.sent(binary.name(), binary.size(), binary.size());
            return Ok(());
        }
        let unreadable = |source| InstallError::BinaryUnreadable { path: binary.path().to_path_buf(), source };
        let mut file = File::open(binary.path()).await.map_err(unreadable)?;
        // Read in chunks as large as the connection accepts.
        file.set_max_buf_size(1 << 20);
        // The checksum is computed while the file arrives, and the size shows whether all of it fit.
        let script = format!(
            "{begin}sum=$(tee \"$t\" | sha256sum | cut -d ' ' -f 1); \
             [ \"$sum\" = {sum} ] && [ \"$(wc -c < \"$t\")\" -eq {size} ] || exit {BAD_CHECKSUM}; {end}",
            begin = self.begin_of_upload(place),
            sum = binary.sha256(),
            size = binary.size(),
        );
        let mut sent = 0;
        let report = |count| {
            sent += count;
            progress.sent(binary.name(), sent, binary.size());
        };
        let output = self.session.script_streaming(&script, file, report).await?;
        let (name, endpoint, stderr) = (binary.name(), self.endpoint(), output.error_text());
        match output.status {
            Status::Code(0) => Ok(()),
            Status::Code(BAD_CHECKSUM) => Err(InstallError::Checksum { name, endpoint, stderr }),
            Status::Code(DOES_NOT_START) => Err(InstallError::DoesNotStart { name, endpoint, stderr }),
            status => Err(InstallError::Command { what: "store a binary", endpoint, status, stderr }),
        }
    }

    /// Copies a binary from this computer's file, to a machine whose disk is on this computer as well: debug builds are ten times as
    /// large as releases, and three machines would get them through three encrypted connections. False if it must be sent: the file is
    /// not visible there, has changed meanwhile, or does not fit.
    async fn copy(&self, binary: &Binary, place: &str, end: &str) -> Result<bool, InstallError> {
        let script = format!(
            "{SUMS}{begin}cp {from} \"$t\" 2> /dev/null || exit {NO_COPY}; \
             [ \"$(sha256 \"$t\" | cut -d ' ' -f 1)\" = {sum} ] || exit {NO_COPY}; {end}",
            begin = self.begin_of_upload(place),
            from = quote(&binary.path().to_string_lossy()),
            sum = binary.sha256(),
        );
        let output = match self.session.script(&script, &[], COPY_LIMIT).await {
            // A slow disk: sending has no such limit, and shows its progress.
            Err(SshError::CommandTimeout { .. }) => return Ok(false),
            output => output?,
        };
        let (name, endpoint) = (binary.name(), self.endpoint());
        match output.status {
            Status::Code(DOES_NOT_START) => {
                Err(InstallError::DoesNotStart { name, endpoint, stderr: output.error_text() })
            }
            status => Ok(status.success()),
        }
    }

    /// The beginning of both scripts: in the folder of the programs, with the name of a temporary file in `$t`.
    fn begin_of_upload(&self, place: &str) -> String {
        format!(
            "set -e; umask 022; mkdir -p {bin}; cd {bin}; rm -f .tmp-{place}.*; t=.tmp-{place}.$$; trap 'rm -f \"$t\"' EXIT; ",
            bin = quote(&self.layout.bin),
        )
    }

    /// The end of both scripts: the complete file `$t` gets its name if it can be started.
    fn end_of_upload(&self, place: &str, mark: bool) -> String {
        let mark = if mark {
            format!("mkdir -p {}; : > {}; ", quote(&self.layout.service), quote(&self.layout.restart_marker()))
        } else {
            String::new()
        };
        format!("chmod 755 \"$t\"; \"./$t\" --version > /dev/null || exit {DOES_NOT_START}; {mark}mv -f \"$t\" {place}")
    }
}

/// The first folder without enough space, and how much is needed there: the programs go to the first, the node's data to the last.
/// Folders on one file system share its space.
fn too_small(rooms: &[Room], binaries: u64) -> Option<(&Room, u64)> {
    let (programs, data) = (rooms.first()?, rooms.last()?);
    let needs = if programs.mount == data.mount {
        vec![(programs, binaries + SLACK)]
    } else {
        vec![(programs, binaries), (data, SLACK)]
    };
    needs.into_iter().find(|(room, needed)| room.free < *needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_needs_room_for_what_goes_there() {
        let room = |dir: &str, mount: &str, mib: u64| Room { dir: dir.into(), mount: mount.into(), free: mib << 20 };
        let dir = |rooms: &[Room]| too_small(rooms, 30 << 20).map(|(room, needed)| (room.dir.clone(), needed >> 20));
        assert_eq!(dir(&[room("/usr", "a", 31), room("/var", "b", 33)]), None);
        assert_eq!(dir(&[room("/usr", "a", 29), room("/var", "b", 33)]), Some(("/usr".to_owned(), 30)));
        assert_eq!(dir(&[room("/usr", "a", 500), room("/var", "b", 31)]), Some(("/var".to_owned(), 32)));
        assert_eq!(dir(&[room("/usr", "a", 61), room("/var", "a", 61)]), Some(("/usr".to_owned(), 62)));
        assert_eq!(dir(&[room("/home", "a", 62)]), None);
    }
}
