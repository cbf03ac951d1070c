use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// The range of the tests' own addresses, separate from those of local machines (127.64 to 127.126).
const FIRST_NETWORK: u32 = 140;
const NETWORKS: u32 = 60;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A loopback address that no other test of this or another process has.
#[must_use]
pub fn free_ip() -> IpAddr {
    // Each process begins at another address; addresses in use are detected and skipped.
    let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    loop {
        let n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (NETWORKS * 254 * 254);
        let [a, b, c] = [FIRST_NETWORK + n / (254 * 254), 1 + n / 254 % 254, 1 + n % 254]
            .map(|part| u8::try_from(part).expect("each part is below 255"));
        let ip = IpAddr::from([127, a, b, c]);
        if TcpListener::bind((ip, 5080)).is_ok() {
            return ip;
        }
    }
}
