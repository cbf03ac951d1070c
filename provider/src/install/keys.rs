//! Authorized keys of a machine.

use super::InstallError;
use super::authorized_keys::{After, Before, with, without};
use super::permit::{Permitted, sum};
use crate::ssh::quote;

impl Permitted {
    /// Authorizes these public keys for the same user, in addition to the existing ones.
    ///
    /// # Errors
    /// Errors of the connection, and a file that cannot be written, which is then unchanged.
    pub async fn authorize(&self, keys: &[String]) -> Result<(), InstallError> {
        const WHAT: &str = "authorize keys";
        self.check().await?;
        let (before, content) = self.read_keys(WHAT).await?;
        match with(&content, before, keys) {
            Some(new) => self.write_keys(WHAT, before, &content, &After::Content(new)).await,
            None => Ok(()),
        }
    }

    /// Removes a public key, and the file and folder that were made for it.
    ///
    /// # Errors
    /// Errors of the connection, and a file that cannot be written, which is then unchanged.
    pub async fn forget_key(&self, key: &str) -> Result<(), InstallError> {
        const WHAT: &str = "remove the cluster's key from `authorized_keys`";
        self.check().await?;
        let (before, content) = self.read_keys(WHAT).await?;
        match without(&content, key) {
            Some(after) => self.write_keys(WHAT, before, &content, &after).await,
            None => Ok(()),
        }
    }

    fn key_folder(&self) -> String {
        format!("{}/.ssh", self.probe.home)
    }

    /// The existing content, byte for byte.
    async fn read_keys(&self, what: &'static str) -> Result<(Before, Vec<u8>), InstallError> {
        let folder = self.key_folder();
        let script = format!(
            "set -e; d={}; f=$d/authorized_keys\n\
             if [ -e \"$f\" ] || [ -L \"$f\" ]; then printf 'file %s\\n' \"$(wc -c < \"$f\" | tr -d ' ')\"; cat \"$f\"\n\
             elif [ -d \"$d\" ]; then x=$(ls -A \"$d\"); echo folder; else echo nothing; fi",
            quote(&folder)
        );
        let output = self.step(what, &script, &[]).await?.stdout;
        let end = output.iter().position(|byte| *byte == b'\n').unwrap_or(output.len());
        let (word, content) =
            (String::from_utf8_lossy(&output[..end]).into_owned(), output.get(end + 1..).unwrap_or(&[]));
        match word.split_once(' ') {
            // A shell may drop bytes that are not text.
            Some(("file", size)) if size.parse() == Ok(content.len()) => Ok((Before::File, content.to_vec())),
            None if word == "folder" => Ok((Before::Folder, Vec::new())),
            None if word == "nothing" => Ok((Before::Nothing, Vec::new())),
            _ => Err(InstallError::Answer {
                what,
                endpoint: self.endpoint(),
                answer: format!("{word} of {}", content.len()),
            }),
        }
    }

    /// Replaces the file that was read, if it is unchanged.
    async fn write_keys(
        &self,
        what: &'static str,
        before: Before,
        old: &[u8],
        after: &After,
    ) -> Result<(), InstallError> {
        let unchanged = match before {
            Before::File => format!(
                "x=$(sha256sum < \"$f\"); [ \"${{x%% *}}\" = {} ] || {{ echo 'the file was changed meanwhile' >&2; exit 1; }}",
                sum(old)
            ),
            Before::Folder | Before::Nothing => {
                "[ ! -e \"$f\" ] || { echo 'the file was made meanwhile' >&2; exit 1; }".to_owned()
            }
        };
        let (change, input) = match after {
            After::NoFile => ("rm \"$f\"".to_owned(), &[][..]),
            // Others may have put files into it.
            After::NoFolder => ("rm \"$f\"; rmdir \"$d\" 2> /dev/null || true".to_owned(), &[][..]),
            After::Content(new) => (
                format!(
                    "t=$f.disco.$$; trap 'rm -f \"$t\"' EXIT\n\
                     if [ -e \"$f\" ]; then cp -p \"$f\" \"$t\"; fi\n\
                     cat > \"$t\"\n\
                     x=$(sha256sum < \"$t\"); [ \"${{x%% *}}\" = {} ] || {{ echo 'the content arrived incomplete or damaged' >&2; exit 1; }}\n\
                     sync \"$t\" 2> /dev/null || sync\n\
                     mv -f \"$t\" \"$f\"",
                    sum(new)
                ),
                &new[..],
            ),
        };
        let made = if before == Before::Nothing { "mkdir \"$d\"\n" } else { "" };
        // If the file is a symlink, its target is changed.
        let script = format!(
            "set -e; umask 077; d={}; f=$d/authorized_keys\n{made}\
             if [ -L \"$f\" ]; then f=$(readlink -f \"$f\"); fi\n{unchanged}\n{change}",
            quote(&self.key_folder())
        );
        self.step(what, &script, input).await?;
        Ok(())
    }
}
