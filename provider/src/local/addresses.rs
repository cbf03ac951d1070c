//! Chooses the machines' addresses in the loopback network.
//!
//! Each provider's folder gets a subnet `127.a.b.0/24` by the hash of its path, so that several clusters and test runs on
//! one computer do not collide; if another program already listens in it, the next one is used. Machines count upward in it,
//! so that an address is not reused soon. If only 127.0.0.1 exists, the machines have different ports.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::MachineRecord;
use super::folder::read_json;
use crate::{ProviderError, files};

/// The port of the machines' SSH servers, which does not require root.
const SSH_PORT: u16 = 2222;
/// The port of `discod` on every machine.
const CONTROL_PORT: u16 = 5080;
/// The second byte of addresses is in `64..127`, away from addresses that people choose.
const FIRST_NETWORK: u16 = 64;
const NETWORKS: u16 = 63;
/// Host numbers of a subnet: 1 to 254.
const HOSTS: u64 = 254;
/// How many addresses of a subnet are probed to detect other users.
const PROBED: u8 = 16;
/// How many subnets are tried.
const SUBNETS_TRIED: u16 = 64;

/// The content of `network.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Network {
    /// The subnet's first three bytes; `None` if only 127.0.0.1 exists.
    subnet: Option<[u8; 3]>,
    /// The number of the next machine.
    next: u64,
    /// The folder's random id. A copy of the folder has the same id, but not its machines, see [`super::RunningMachine`].
    #[serde(default)]
    project: String,
}

/// Bytes of a folder's id.
const ID_BYTES: usize = 16;

/// The number and addresses of a new machine.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) address: IpAddr,
    pub(super) ssh_port: u16,
    pub(super) control_port: u16,
}

impl Network {
    /// Reads this folder's choice, or makes one. The lock of the folder must be held.
    pub(super) fn load(dir: &Path) -> Result<Self, ProviderError> {
        let mut network = match Self::read(dir)? {
            Some(network) => network,
            None => Self { subnet: choose_subnet(dir)?, next: 1, project: String::new() },
        };
        if network.project.is_empty() {
            network.project = random_id().map_err(ProviderError::io("make an id for", dir))?;
        }
        Ok(network)
    }

    /// Reads this folder's choice, if one was made.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, ProviderError> {
        read_json(&dir.join("network.json"))
    }

    /// The folder's id; empty if an older build made the folder.
    pub(super) fn project(&self) -> &str {
        &self.project
    }

    /// Stores it. The lock of the folder must be held.
    pub(super) fn save(&self, dir: &Path) -> Result<(), ProviderError> {
        let path = dir.join("network.json");
        let content = serde_json::to_vec(self).unwrap_or_default();
        files::write_atomically(&path, &content, 0o600).map_err(ProviderError::io("write", path))
    }

    /// A number and addresses for one more machine, besides the existing ones.
    pub(super) fn place(&mut self, existing: &[MachineRecord]) -> Result<Place, ProviderError> {
        let number = self.next;
        self.next += 1;
        let Some([a, b, c]) = self.subnet else { return shared_address(number, existing) };
        for step in 0..HOSTS {
            // In 1..=254, so the conversion cannot fail.
            let host = u8::try_from((number - 1 + step) % HOSTS + 1).unwrap_or(1);
            let address = IpAddr::from([a, b, c, host]);
            if existing.iter().any(|machine| machine.address == address) {
                continue;
            }
            if is_free(address, SSH_PORT) && is_free(address, CONTROL_PORT) {
                return Ok(Place { number, address, ssh_port: SSH_PORT, control_port: CONTROL_PORT });
            }
        }
        Err(ProviderError::NoAddress { tried: format!("{a}.{b}.{c}.1 to {a}.{b}.{c}.254") })
    }
}

fn random_id() -> std::io::Result<String> {
    let mut bytes = [0; ID_BYTES];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| std::io::Error::other("the operating system has no random numbers"))?;
    Ok(hex::encode(bytes))
}

fn choose_subnet(dir: &Path) -> Result<Option<[u8; 3]>, ProviderError> {
    let hash = ring::digest::digest(&ring::digest::SHA256, dir.as_os_str().as_encoded_bytes());
    let hash = hash.as_ref();
    let start = u16::from_be_bytes([hash[0], hash[1]]) % (NETWORKS * 256);
    for step in 0..SUBNETS_TRIED {
        let [a, b] = (FIRST_NETWORK * 256 + (start + step) % (NETWORKS * 256)).to_be_bytes();
        let subnet = [127, a, b];
        match TcpListener::bind((IpAddr::from([127, a, b, 1]), 0)) {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return Ok(None),
            _ => {}
        }
        if (1..=PROBED).all(|host| is_free(IpAddr::from([127, a, b, host]), SSH_PORT)) {
            return Ok(Some(subnet));
        }
    }
    Err(ProviderError::NoAddress { tried: format!("{SUBNETS_TRIED} subnets of 127.0.0.0/8") })
}

fn is_free(address: IpAddr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_ok()
}

/// Ports of 127.0.0.1 that are free and that no other machine of this folder has, running or not.
fn shared_address(number: u64, existing: &[MachineRecord]) -> Result<Place, ProviderError> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let failed = |_| ProviderError::NoAddress { tried: "ports of 127.0.0.1".to_owned() };
    // Held until both are known, so that they differ.
    let mut held = Vec::new();
    let mut ports = Vec::new();
    while ports.len() < 2 {
        let listener = TcpListener::bind(SocketAddr::new(address, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        held.push(listener);
        if !existing.iter().any(|machine| machine.ssh_port == port || machine.control_port == port) {
            ports.push(port);
        }
    }
    Ok(Place { number, address, ssh_port: ports[0], control_port: ports[1] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(place: &Place) -> MachineRecord {
        MachineRecord {
            id: format!("local-{}", place.number),
            number: place.number,
            name: String::new(),
            token: String::new(),
            cluster_id: String::new(),
            cluster: String::new(),
            address: place.address,
            ssh_port: place.ssh_port,
            control_port: place.control_port,
            user: String::new(),
            host_key: String::new(),
        }
    }

    #[test]
    fn places_differ_and_are_not_soon_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut network = Network::load(dir.path()).unwrap();
        let first = network.place(&[]).unwrap();
        let second = network.place(&[record(&first)]).unwrap();
        let third = network.place(&[]).unwrap();
        let places: std::collections::HashSet<_> = [&first, &second, &third].map(|p| (p.address, p.ssh_port)).into();
        assert_eq!(places.len(), 3);
        assert_eq!((first.number, third.number), (1, 3));
    }

    #[test]
    fn a_subnet_that_answers_is_left_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let Some([_, a, b]) = choose_subnet(dir.path()).unwrap() else { return };
        let _other = TcpListener::bind((IpAddr::from([127, a, b, 2]), SSH_PORT)).unwrap();
        let Some(next) = choose_subnet(dir.path()).unwrap() else { panic!("the addresses are there") };
        assert_ne!(next, [127, a, b]);
    }

    #[test]
    fn ports_tell_machines_apart_where_there_is_one_address() {
        let mut network = Network { subnet: None, next: 1, project: String::new() };
        let first = network.place(&[]).unwrap();
        let second = network.place(&[record(&first)]).unwrap();
        let mut ports = vec![first.ssh_port, first.control_port, second.ssh_port, second.control_port];
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 4);
    }
}
