//! Inspects a machine.

use std::net::IpAddr;
use std::time::SystemTime;

use super::{Architecture, InstallError, Remote, listen};
use crate::ssh::Session;

/// Collects everything in one script, as `name=value` lines.
const SCRIPT: &str = r#"
echo "system=$(uname -s) $(uname -m)"
echo "machine=$(uname -m)"
echo "uid=$(id -u)"
echo "home=$HOME"
echo "prefix=$DISCO_PREFIX"
echo "local=$DISCO_MACHINE"
echo "machine_id=$(cat /etc/machine-id 2> /dev/null || cat /var/lib/dbus/machine-id 2> /dev/null)"
echo "boot_id=$(cat /proc/sys/kernel/random/boot_id 2> /dev/null)"
[ -d /run/systemd/system ] && command -v systemctl > /dev/null 2>&1 && echo systemd=yes
room() {
  dir=$1
  while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
  echo "dir=$dir"
  echo "free=$(df -Pk "$dir" | tail -n 1)"
}
if [ -z "$DISCO_PREFIX" ] && [ "$(id -u)" = 0 ]; then
  room /usr/local/bin
  room /var/lib/disco
else
  room "${DISCO_PREFIX:-$HOME/.local/share/disco}"
fi
echo "ssh=$SSH_CONNECTION"
echo "time=$(date +%s)"
grep -B 1 'host LOCAL' /proc/net/fib_trie 2> /dev/null | sed -n 's/^.*|-- /ip=/p'
sed 's/^\([0-9a-f]*\) .*/ip=\1/' /proc/net/if_inet6 2> /dev/null || true
"#;

/// The facts about a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its processor architecture.
    pub architecture: Architecture,
    /// The user id of the login.
    pub uid: u32,
    /// That user's home folder.
    pub home: String,
    /// `DISCO_PREFIX` of the machine, if set.
    pub prefix: Option<String>,
    /// Whether it is a machine of the local provider, whose disk is a folder on its computer.
    pub local: bool,
    /// Whether systemd runs.
    pub systemd: bool,
    /// The folder for the binaries, then the folder for the data, if that is another one.
    pub rooms: Vec<Room>,
    /// The id of its system, made at the installation, see machine-id(5); empty if there is none.
    pub machine_id: String,
    /// The boot id, a new one after each boot; empty if there is none.
    pub boot_id: String,
    /// Its addresses; empty if unknown.
    pub addresses: Vec<IpAddr>,
    /// The machine's address of the connection.
    pub reached_at: Option<IpAddr>,
    /// How far its clock is ahead of this computer's, in seconds; negative if behind, 0 if unknown.
    pub clock_ahead: i64,
}

impl Probe {
    pub(super) async fn of(session: &Session) -> Result<Self, InstallError> {
        let output = Remote::run(session, "inspect the machine", SCRIPT, &[]).await?;
        Self::parse(&output.text(), &session.target().endpoint(), unix_now())
    }

    /// `now` is this computer's time, in seconds since 1970.
    fn parse(text: &str, endpoint: &str, now: i64) -> Result<Self, InstallError> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim()
        };
        let unsupported =
            || InstallError::UnsupportedSystem { endpoint: endpoint.to_owned(), system: value("system").to_owned() };
        let senseless = || InstallError::Answer {
            what: "inspect the machine",
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
            local: !value("local").is_empty(),
            systemd: value("systemd") == "yes",
            rooms: rooms(text).filter(|rooms| !rooms.is_empty()).ok_or_else(senseless)?,
            machine_id: value("machine_id").to_owned(),
            boot_id: value("boot_id").to_owned(),
            addresses: listen::addresses(text),
            reached_at: listen::reached_at(value("ssh")),
            clock_ahead: value("time").parse().map_or(0, |time: i64| time.saturating_sub(now)),
        })
    }
}

/// An existing folder, and its free space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The folder.
    pub dir: String,
    /// The mount point of its file system: folders with the same one share its free space.
    pub mount: String,
    /// Free bytes.
    pub free: u64,
}

/// Alternating lines `dir=` and `free=`; `None` if one cannot be parsed.
fn rooms(text: &str) -> Option<Vec<Room>> {
    let values = |name: &'static str| text.lines().filter_map(move |line| line.trim().strip_prefix(name));
    let room = |(dir, line): (&str, &str)| {
        let dir = Some(dir.trim()).filter(|dir| dir.starts_with('/'))?.to_owned();
        let mount = line.rsplit_once("% ").map_or(line, |(_, mount)| mount.trim()).to_owned();
        Some(Room { dir, mount, free: free_bytes(line)? })
    };
    values("dir=").zip(values("free=")).map(room).collect()
}

/// This computer's time, in seconds since 1970.
fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The available space in a line of `df -Pk`. The names around it may contain blanks, so it is found by the percentage.
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

    const TEXT: &str = "system=Linux aarch64\nmachine=aarch64\nuid=1000\nhome=/home/pi\nprefix=\nlocal=\nsystemd=yes\ndir=/home/pi\n\
                        free=my disk 100 50 25 67% /home of pi\nssh=10.0.0.1 50000 10.0.0.7 22\ntime=4000\nip=10.0.0.7";

    #[test]
    fn reads_an_answer() {
        let probe = Probe::parse(TEXT, "pi:22", 5000).unwrap();
        assert_eq!(probe.architecture, Architecture::Aarch64);
        assert_eq!((probe.uid, probe.home.as_str(), probe.prefix, probe.systemd), (1000, "/home/pi", None, true));
        let room = Room { dir: "/home/pi".to_owned(), mount: "/home of pi".to_owned(), free: 25 * 1024 };
        assert_eq!((probe.rooms, probe.clock_ahead), (vec![room], -1000));
        let own: IpAddr = "10.0.0.7".parse().unwrap();
        assert_eq!((probe.addresses, probe.reached_at), (vec![own], Some(own)));
    }

    #[test]
    fn room_is_looked_for_where_the_files_go() {
        let two = format!("{TEXT}\ndir=/var/lib\nfree=/dev/sdb1 1000 500 400 60% /var/lib");
        let rooms = Probe::parse(&two, "pi:22", 0).unwrap().rooms;
        let found: Vec<_> = rooms.iter().map(|room| (room.dir.as_str(), room.mount.as_str(), room.free)).collect();
        assert_eq!(found, [("/home/pi", "/home of pi", 25 * 1024), ("/var/lib", "/var/lib", 400 * 1024)]);
    }

    #[test]
    fn refuses_other_systems_by_name() {
        for (from, to) in [("Linux aarch64\nmachine=aarch64", "Linux armv6l\nmachine=armv6l"), ("Linux", "FreeBSD")] {
            let error = Probe::parse(&TEXT.replace(from, to), "pi:22", 5000).unwrap_err();
            assert!(matches!(error, InstallError::UnsupportedSystem { .. }), "{error}");
            assert!(error.to_string().contains(to.lines().next().unwrap()), "{error}");
        }
    }

    #[test]
    fn senseless_answers_are_errors() {
        for (from, to) in [("uid=1000", "uid="), ("home=/home/pi", "home="), ("67%", "?")] {
            let error = Probe::parse(&TEXT.replace(from, to), "pi:22", 5000).unwrap_err();
            assert!(matches!(error, InstallError::Answer { .. }), "{error}");
        }
    }
}
