//! What kind of machine it is.

use super::{Architecture, InstallError, Remote};
use crate::ssh::Session;

/// Asks all in one go; `name=value` lines.
const SCRIPT: &str = r#"
echo "system=$(uname -s) $(uname -m)"
echo "machine=$(uname -m)"
echo "uid=$(id -u)"
echo "home=$HOME"
echo "prefix=$DISCO_PREFIX"
[ -d /run/systemd/system ] && command -v systemctl > /dev/null 2>&1 && echo systemd=yes
dir=${DISCO_PREFIX:-$HOME}
[ -z "$DISCO_PREFIX" ] && [ "$(id -u)" = 0 ] && dir=/var/lib
while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
echo "dir=$dir"
echo "free=$(df -Pk "$dir" | tail -n 1)"
"#;

/// What kind of machine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its kind of processor.
    pub architecture: Architecture,
    /// The user id that we are there.
    pub uid: u32,
    /// That user's home folder.
    pub home: String,
    /// `DISCO_PREFIX` of the machine, where it is set.
    pub prefix: Option<String>,
    /// Whether systemd runs.
    pub systemd: bool,
    /// Where room is looked for.
    pub dir: String,
    /// How many bytes are free there.
    pub free: u64,
}

impl Probe {
    pub(super) async fn of(session: &Session) -> Result<Self, InstallError> {
        let output = Remote::run(session, "look at the machine", SCRIPT, &[]).await?;
        Self::parse(&output.text(), &session.target().endpoint())
    }

    fn parse(text: &str, endpoint: &str) -> Result<Self, InstallError> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim()
        };
        let unsupported =
            || InstallError::UnsupportedSystem { endpoint: endpoint.to_owned(), system: value("system").to_owned() };
        let senseless = || InstallError::Answer {
            what: "look at the machine",
            endpoint: endpoint.to_owned(),
            answer: text.to_owned(),
        };
        if !value("system").starts_with("Linux ") {
            return Err(unsupported());
        }
        let path = |name| Some(value(name)).filter(|path| path.starts_with('/')).map(str::to_owned);
        Ok(Self {
            architecture: Architecture::from_uname(value("machine")).ok_or_else(unsupported)?,
            uid: value("uid").parse().map_err(|_| senseless())?,
            home: path("home").ok_or_else(senseless)?,
            prefix: path("prefix"),
            systemd: value("systemd") == "yes",
            dir: path("dir").ok_or_else(senseless)?,
            free: free_bytes(value("free")).ok_or_else(senseless)?,
        })
    }
}

/// The available space in a line of `df -Pk`. Names before and after may contain blanks, so the percentage leads.
fn free_bytes(line: &str) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let percentage = fields.iter().position(|field| {
        field.strip_suffix('%').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })?;
    let kib: u64 = fields.get(percentage.checked_sub(1)?)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "system=Linux aarch64\nmachine=aarch64\nuid=1000\nhome=/home/pi\nprefix=\nsystemd=yes\ndir=/home/pi\n\
                        free=my disk 100 50 25 67% /home of pi";

    #[test]
    fn reads_an_answer() {
        let probe = Probe::parse(TEXT, "pi:22").unwrap();
        assert_eq!(probe.architecture, Architecture::Aarch64);
        assert_eq!((probe.uid, probe.home.as_str(), probe.prefix, probe.systemd), (1000, "/home/pi", None, true));
        assert_eq!(probe.free, 25 * 1024);
    }

    #[test]
    fn refuses_other_systems_by_name() {
        for (from, to) in [("Linux aarch64\nmachine=aarch64", "Linux armv6l\nmachine=armv6l"), ("Linux", "FreeBSD")] {
            let error = Probe::parse(&TEXT.replace(from, to), "pi:22").unwrap_err();
            assert!(matches!(error, InstallError::UnsupportedSystem { .. }), "{error}");
            assert!(error.to_string().contains(to.lines().next().unwrap()), "{error}");
        }
    }

    #[test]
    fn senseless_answers_are_errors() {
        for (from, to) in [("uid=1000", "uid="), ("home=/home/pi", "home="), ("67%", "?")] {
            let error = Probe::parse(&TEXT.replace(from, to), "pi:22").unwrap_err();
            assert!(matches!(error, InstallError::Answer { .. }), "{error}");
        }
    }
}
