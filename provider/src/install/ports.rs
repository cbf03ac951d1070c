//! Who uses a port of a machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{InstallError, Remote};

/// The listening sockets, and their processes where the user may see them; the login's name, and whether it may become root.
const SCRIPT: &str = r#"
echo "user=$(id -un)"
if [ "$(id -u)" != 0 ] && command -v sudo > /dev/null 2>&1 && sudo -n true > /dev/null 2>&1; then echo sudo=yes; fi
for f in /proc/net/tcp /proc/net/tcp6; do sed -n 's/^ *[0-9]*: \([0-9A-F:]*\) [0-9A-F:]* 0A .*/listens=\1/p' $f 2> /dev/null; done
ss -Hltnp 2> /dev/null | sed 's/^/process=/' || true
"#;

/// The login, and the ports in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The name of the login's user.
    pub user: String,
    /// Whether `sudo` makes it root without a password.
    pub sudo: bool,
    listening: Vec<SocketAddr>,
    /// Lines of `ss -ltnp`.
    processes: Vec<String>,
}

impl Remote {
    /// Lists the ports in use.
    ///
    /// # Errors
    /// The connection's.
    pub async fn ports(&self) -> Result<Ports, InstallError> {
        let output = self.step("list the ports in use", SCRIPT, &[]).await?;
        Ok(Ports::parse(&output.text()))
    }
}

impl Ports {
    fn parse(text: &str) -> Self {
        let values = |name: &'static str| text.lines().filter_map(move |line| line.strip_prefix(name));
        Self {
            user: values("user=").next().unwrap_or_default().to_owned(),
            sudo: values("sudo=").next() == Some("yes"),
            listening: values("listens=").filter_map(address).collect(),
            processes: values("process=").map(str::to_owned).collect(),
        }
    }

    /// Who prevents a daemon from binding to this address: the name of the process, or an empty text if it is not known.
    #[must_use]
    pub fn holder(&self, wanted: SocketAddr) -> Option<&str> {
        let meets = |held: &SocketAddr| {
            let same = held.ip() == wanted.ip() || held.ip().is_unspecified() || wanted.ip().is_unspecified();
            same && held.port() == wanted.port()
        };
        self.listening.iter().any(meets).then(|| {
            let port = format!(":{}", wanted.port());
            let of_port = |line: &&String| line.split_whitespace().nth(3).is_some_and(|local| local.ends_with(&port));
            let name = self
                .processes
                .iter()
                .filter(of_port)
                .find_map(|line| line.split_once("users:((\"")?.1.split('"').next());
            name.unwrap_or_default()
        })
    }
}

/// An address of `/proc/net/tcp`: groups of four bytes in the machine's order, which is little-endian on all supported machines.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = hex::decode(ip).ok()?;
    bytes.chunks_mut(4).for_each(<[u8]>::reverse);
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)).to_canonical(),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "user=pi\nsudo=yes\nlistens=0100007F:13D8\nlistens=00000000:0016\n\
                        listens=00000000000000000000000000000000:0050\nlistens=0000000000000000FFFF00000100000A:1F90\n\
                        process=LISTEN 0 511 *:80 *:* users:((\"nginx\",pid=7,fd=6))\nprocess=LISTEN 0 5 127.0.0.1:5080 0.0.0.0:*";

    #[test]
    fn a_port_is_held_at_its_address_or_at_all() {
        let ports = Ports::parse(TEXT);
        let holder = |text: &str| ports.holder(text.parse().unwrap());
        assert_eq!((ports.user.as_str(), ports.sudo), ("pi", true));
        assert_eq!(
            (holder("127.0.0.1:5080"), holder("0.0.0.0:5080"), holder("10.0.0.7:5080")),
            (Some(""), Some(""), None)
        );
        assert_eq!((holder("10.0.0.7:22"), holder("10.0.0.7:80")), (Some(""), Some("nginx")));
        assert_eq!((holder("10.0.0.1:8080"), holder("10.0.0.2:8080")), (Some(""), None));
    }

    #[test]
    fn nothing_is_no_port() {
        assert_eq!(Ports::parse("user=root").holder("10.0.0.7:5080".parse().unwrap()), None);
    }
}
