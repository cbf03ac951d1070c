//! Finds the process that uses a port that this one needs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// State of a listening socket in `/proc/net/tcp`, see proc(5).
const LISTENS: &str = "0A";

/// The process that listens at an address, as `process 4711 (nginx)`; `None` if that cannot be seen: only root sees the
/// open files of other users' processes.
pub fn of(address: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<u64> = tables.iter().flat_map(|table| listeners(table, address)).collect();
    let (pid, name) = inodes.into_iter().find_map(process)?;
    Some(format!("process {pid} ({name})"))
}

/// Sockets in a table of the kernel that block the address: the address itself, or its port at all addresses.
fn listeners(table: &str, address: SocketAddr) -> Vec<u64> {
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = parse(fields.get(1)?)?;
        let same = local.port() == address.port()
            && (local.ip().to_canonical() == address.ip().to_canonical()
                || local.ip().is_unspecified()
                || address.ip().is_unspecified());
        (same && *fields.get(3)? == LISTENS).then(|| fields.get(9)?.parse().ok())?
    });
    lines.collect()
}

/// Parses `0100007F:13D8`: words of 32 bits in this machine's byte order.
fn parse(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Option<Vec<u8>> = (0..ip.len() / 8)
        .map(|at| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok())
        .try_fold(Vec::new(), |bytes, word| Some([bytes, word?.to_ne_bytes().to_vec()].concat()));
    let words = words?;
    let ip = if let Ok(four) = <[u8; 4]>::try_from(words.as_slice()) {
        IpAddr::V4(Ipv4Addr::from(four))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.as_slice()).ok()?))
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The process that has a socket open.
fn process(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let has = |folder: &Path| {
        let open = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.as_os_str() == wanted.as_str())
    };
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        has(&entry.path()).then_some((pid, entry.path()))
    });
    processes.into_iter().next().map(|(pid, path)| {
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        (pid, name.trim_end().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_listener_at_an_address_or_at_all_addresses_is_found() {
        let own = format!("process {} (", std::process::id());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let holder = of(address).expect("this very process listens");
        assert!(holder.starts_with(&own), "{holder}");
        // At all addresses.
        assert!(of(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port())).is_some());
        assert_eq!(of(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)), address.port())), None);
    }

    #[test]
    fn tables_of_the_kernel_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:13D8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n   \
                     1: 0100007F:13D8 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4243 1\n";
        if cfg!(target_endian = "little") {
            assert_eq!(listeners(table, "127.0.0.1:5080".parse().unwrap()), [4242]);
            assert_eq!(listeners(table, "127.0.0.2:5080".parse().unwrap()), [0; 0]);
        }
        assert_eq!(parse("nonsense"), None);
        assert_eq!(parse("00:13D8"), None);
        assert_eq!(parse("00000000000000000000000000000000:0050"), Some("[::]:80".parse().unwrap()));
    }
}
