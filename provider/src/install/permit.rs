//! Checks which cluster owns a machine, and gives the permission to change it.

use std::collections::BTreeSet;
use std::ops::Deref;

use ring::digest::{SHA256, digest};

use super::manifest::Manifest;
use super::owner::{Found, Node, Owner};
use super::remote::SUMS;
use super::{Binary, InstallError, Refusal, Remote};
use crate::ssh::quote;

/// A machine that the cluster may change. Everything that writes on a machine is a method of this type.
#[derive(Debug, Clone)]
pub struct Permitted {
    remote: Remote,
    owner: Owner,
}

impl Deref for Permitted {
    type Target = Remote;

    fn deref(&self) -> &Remote {
        &self.remote
    }
}

impl Remote {
    /// The permission to change this machine, for the cluster that owns it, or for any cluster if none owns it. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`InstallError::Refused`]; the connection's; an answer that is not clear.
    pub async fn permit(self, owner: Owner) -> Result<Permitted, InstallError> {
        let permitted = Permitted { remote: self, owner };
        permitted.check().await?;
        Ok(permitted)
    }

    /// Checks which cluster owns the machine.
    pub(super) async fn find(&self) -> Result<Found, InstallError> {
        const WHAT: &str = "check which cluster owns the machine";
        let layout = &self.layout;
        let [node, manifest] = [layout.node_file(), layout.manifest()].map(|path| quote(&path));
        let [data, service] = [&layout.data, &layout.service].map(|path| quote(path));
        let quoted = |paths: &[String]| paths.iter().map(|path| quote(path)).collect::<Vec<_>>().join(" ");
        let mut remains = self.service_files();
        remains.extend(["raft.redb", "raft.journal", "log.mark"].map(|name| format!("{}/{name}", layout.data)));
        // An unreadable folder does not count as empty: each step is checked.
        let script = format!(
            "{SUMS}set -e\n\
             for d in {data} {service}; do if [ -d \"$d\" ]; then x=$(ls -A \"$d\"); fi; done\n\
             tell() {{ if [ -e \"$2\" ]; then x=$(tr -d '\\n' < \"$2\"); printf '%s %s\\n' \"$1\" \"$x\"; fi; }}\n\
             tell node {node}\n\
             tell manifest {manifest}\n\
             for f in {remains}; do if [ -e \"$f\" ]; then printf 'remains %s\\n' \"$f\"; fi; done\n\
             for d in {folders}; do if [ ! -d \"$d\" ]; then printf 'absent %s\\n' \"$d\"; fi; done\n\
             if [ ! -e {node} ] && [ ! -e {manifest} ]; then for f in {programs}; do if [ -e \"$f\" ]; then \
             x=$(sha256 \"$f\"); printf 'program %s %s\\n' \"${{x%% *}}\" \"$f\"; fi; done; fi\n\
             echo end",
            remains = quoted(&remains),
            folders = quoted(&layout.folders()),
            programs = quoted(&layout.programs()),
        );
        let text = self.step(WHAT, &script, &[]).await?.text();
        let unclear = || InstallError::Answer { what: WHAT, endpoint: self.endpoint(), answer: text.clone() };
        let (mut found, mut ended) = (Found::default(), false);
        for line in text.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("node", json) => found.node = Some(serde_json::from_str::<Node>(json).map_err(|_| unclear())?),
                ("manifest", json) => {
                    found.manifest = Some(serde_json::from_str::<Manifest>(json).map_err(|_| unclear())?);
                }
                ("remains", path) => found.remains.push(path.to_owned()),
                ("absent", path) => found.absent.push(path.to_owned()),
                ("program", words) => {
                    let (sum, path) = words.split_once(' ').ok_or_else(unclear)?;
                    found.programs.push((path.to_owned(), sum.to_owned()));
                }
                ("end", "") => ended = true,
                _ => return Err(unclear()),
            }
        }
        if ended { Ok(found) } else { Err(unclear()) }
    }

    /// Whether both are the same layout on the same machine, which may have two addresses. Host keys and machine ids are not
    /// enough, as copies of a machine share them; the boot id belongs to one running kernel.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let of = |remote: &Self| {
            let key = remote.session.host_key().key.clone();
            (key, remote.probe.machine_id.clone(), remote.probe.boot_id.clone(), remote.layout.clone())
        };
        !self.probe.boot_id.is_empty() && of(self) == of(other)
    }
}

impl Permitted {
    /// The cluster that may change it.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Checks again: another cluster may own the machine by now.
    pub(super) async fn check(&self) -> Result<Found, InstallError> {
        let found = self.find().await?;
        found.check(&self.owner).map_err(|refusal| InstallError::Refused { endpoint: self.endpoint(), refusal })?;
        Ok(found)
    }

    /// Writes the manifest: the cluster that owns the machine from now on, and that these programs are Disco's. Always the first write.
    pub(super) async fn claim(&self, sent: &[&Binary]) -> Result<(), InstallError> {
        let found = self.check().await?;
        let mut manifest = self.manifest(&found).await?;
        manifest.programs.extend(sent.iter().map(|binary| binary.sha256().to_owned()));
        if self.owner.machine.is_some() {
            manifest.machine.clone_from(&self.owner.machine);
        }
        if found.manifest.as_ref() != Some(&manifest) {
            self.write_manifest(&manifest, found.manifest.is_none()).await?;
        }
        Ok(())
    }

    /// Refuses to replace a program that Disco did not install. Each with its path and checksum.
    pub(super) async fn check_replaceable(&self, present: &[(String, String)]) -> Result<(), InstallError> {
        if present.is_empty() {
            return Ok(());
        }
        let manifest = self.manifest(&self.check().await?).await?;
        match present.iter().find(|(_, sum)| !manifest.programs.contains(sum)) {
            None => Ok(()),
            Some((path, _)) => Err(InstallError::Refused {
                endpoint: self.endpoint(),
                refusal: Refusal::Foreign { path: path.clone() },
            }),
        }
    }

    /// What Disco has installed on the machine, even if an earlier version has written no manifest.
    pub(super) async fn manifest(&self, found: &Found) -> Result<Manifest, InstallError> {
        if let Some(manifest) = &found.manifest {
            return Ok(manifest.clone());
        }
        let (cluster_id, cluster_name) = (self.owner.cluster_id.clone(), self.owner.cluster_name.clone());
        let new = Manifest { cluster_id, cluster_name, machine: self.owner.machine.clone(), ..Manifest::default() };
        if found.node.is_none() {
            return Ok(Manifest { folders: found.absent.iter().cloned().collect(), ..new });
        }
        let programs: BTreeSet<String> = self.sums(&self.layout.programs()).await?.into_values().collect();
        Ok(Manifest { programs, folders: self.layout.former_folders(), ..new })
    }

    /// Replaces the file atomically. The `first` manifest is written only if there is none: of two clusters that find a machine
    /// empty, one gets it.
    async fn write_manifest(&self, manifest: &Manifest, first: bool) -> Result<(), InstallError> {
        let text = serde_json::to_vec_pretty(manifest).unwrap_or_default();
        let place = if first {
            // Not all file systems support hard links.
            "ln \"$t\" \"$f\" 2> /dev/null || { [ ! -e \"$f\" ]; mv \"$t\" \"$f\"; }"
        } else {
            "mv -f \"$t\" \"$f\""
        };
        let script = format!(
            "set -e; umask 077\n\
             mkdir -p {folder}\n\
             f={file}; t=$f.tmp.$$; trap 'rm -f \"$t\"' EXIT\n\
             cat > \"$t\"\n\
             x=$(sha256sum < \"$t\"); [ \"${{x%% *}}\" = {sum} ] || {{ echo 'the content arrived incomplete or damaged' >&2; exit 1; }}\n\
             sync \"$t\" 2> /dev/null || sync\n\
             {place}",
            folder = quote(&self.layout.service),
            file = quote(&self.layout.manifest()),
            sum = sum(&text),
        );
        self.step("record which cluster owns the machine", &script, &text).await?;
        Ok(())
    }
}

/// A checksum in hexadecimal digits.
pub(super) fn sum(content: &[u8]) -> String {
    hex::encode(digest(&SHA256, content))
}
