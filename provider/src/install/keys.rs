//! Who may log in on a machine.

use super::InstallError;
use super::authorized_keys::{After, Before, with, without};
use super::permit::{Permitted, sum};
use crate::ssh::quote;

impl Permitted {
    /// Lets these public keys log in as the same user, besides those that may already.
    ///
    /// # Errors
    /// The connection's, and a file that cannot be written: it is as before then.
    pub async fn authorize(&self, keys: &[String]) -> Result<(), InstallError> {
        const WHAT: &str = "authorize keys";
        self.check().await?;
        let (before, content) = self.read_keys(WHAT).await?;
        match with(&content, before, keys) {
            Some(new) => self.write_keys(WHAT, before, &content, &After::Content(new)).await,
            None => Ok(()),
        }
    }

    /// Takes a public key out again, and what was made for it.
    ///
    /// # Errors
    /// The connection's, and a file that cannot be written: it is as before then.
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

    /// What is there, byte for byte.
    async fn read_keys(&self, what: &'static str) -> Result<(Before, Vec<u8>), InstallError> {
        let folder = self.key_folder();
        let script = format!(
            "set -e; d={}; f=$d/authorized_keys\n\
             if [ -e \"$f\" ] || [ -L \"$f\" ]; then printf 'file %s\\n' \"$(wc -c < \"$f\" | tr -d ' ')\"; cat \"$f\"\n\
             elif [ -d \"$d\" ]; then x=$(ls -A \"$d\"); echo folder; else echo nothing; fi",
            quote(&folder)
        );
        let said = self.step(what, &script, &[]).await?.stdout;
        let end = said.iter().position(|byte| *byte == b'\n').unwrap_or(said.len());
        let (word, content) = (String::from_utf8_lossy(&said[..end]).into_owned(), said.get(end + 1..).unwrap_or(&[]));
        match word.split_once(' ') {
            // A shell drops bytes that are no text.
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

    /// Puts a file in the place of the one that was read, if that is still as it was.
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
            // Others may have put something into it.
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
        // Where the file is a link, what it leads to is changed.
        let script = format!(
            "set -e; umask 077; d={}; f=$d/authorized_keys\n{made}\
             if [ -L \"$f\" ]; then f=$(readlink -f \"$f\"); fi\n{unchanged}\n{change}",
            quote(&self.key_folder())
        );
        self.step(what, &script, input).await?;
        Ok(())
    }
}
