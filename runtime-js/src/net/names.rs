//! Resolves names.
//!
//! The system's look-up blocks, for many seconds if a name server is silent. So each look-up runs on its own thread, and
//! concurrent requests for a name share one look-up: slow names do not delay others.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

/// The most concurrent look-ups of the process; further names wait.
const AT_ONCE: usize = 64;
/// The stack for the system's look-up, including modules that it loads.
const STACK: usize = 256 << 10;

/// The resolver of the whole process.
static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(system));

/// The result of a look-up. An error is stored in parts, as it is sent to all waiting requests.
type Answer = Result<Arc<[IpAddr]>, (io::ErrorKind, String)>;

/// Resolves names.
struct Names {
    look_up: fn(&str) -> io::Result<Vec<IpAddr>>,
    slots: Arc<Semaphore>,
    under_way: Arc<Mutex<HashMap<String, watch::Receiver<Option<Answer>>>>>,
}

/// The addresses of `host:port`, where the host may be a name or an address.
pub(super) async fn addresses(host_and_port: &str) -> io::Result<Vec<SocketAddr>> {
    NAMES.addresses(host_and_port).await
}

fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

impl Names {
    fn new(look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Self {
        Self { look_up, slots: Arc::new(Semaphore::new(AT_ONCE)), under_way: Arc::default() }
    }

    async fn addresses(&self, host_and_port: &str) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host_and_port.parse() {
            return Ok(vec![address]);
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "invalid socket address");
        let (host, port) = host_and_port.rsplit_once(':').ok_or_else(invalid)?;
        let port: u16 = port.parse().map_err(|_| invalid())?;
        let found = self.look_up(host).await?;
        Ok(found.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }

    /// Joins the look-up of this name, or starts one.
    async fn look_up(&self, host: &str) -> io::Result<Arc<[IpAddr]>> {
        let mut answer = self.begin(host)?;
        let answer = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
        match answer {
            Ok(Some(Ok(addresses))) => Ok(addresses),
            Ok(Some(Err((kind, message)))) => Err(io::Error::new(kind, message)),
            Ok(None) | Err(_) => Err(io::Error::other(format!("the look-up of `{host}` was abandoned"))),
        }
    }

    fn begin(&self, host: &str) -> io::Result<watch::Receiver<Option<Answer>>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = under_way.get(host) {
            return Ok(answer.clone());
        }
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return Err(io::Error::other(format!("{AT_ONCE} other names are being looked up")));
        };
        let (sender, receiver) = watch::channel(None);
        let (look_up, name, table) = (self.look_up, host.to_owned(), self.under_way.clone());
        let run = move || {
            let found = look_up(&name).map(Arc::from).map_err(|error| (error.kind(), error.to_string()));
            // Removed first: later requests start a new look-up.
            table.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            sender.send_replace(Some(found));
            drop(slot);
        };
        std::thread::Builder::new().name("name-look-up".into()).stack_size(STACK).spawn(run)?;
        under_way.insert(host.to_owned(), receiver.clone());
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    static RELEASED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    /// Names that begin with `slow` wait until they are released.
    fn fake(host: &str) -> io::Result<Vec<IpAddr>> {
        if host.starts_with("slow") {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            let released = RELEASED.0.lock().unwrap();
            drop(RELEASED.1.wait_while(released, |released| !*released).unwrap());
        }
        if host == "absent" { Err(io::Error::other("no such name")) } else { Ok(vec![[127, 0, 0, 1].into()]) }
    }

    #[tokio::test]
    async fn slow_names_hold_up_no_others() {
        let names = Arc::new(Names::new(fake));
        let ask = |host: String| {
            let names = names.clone();
            tokio::spawn(async move { names.addresses(&host).await })
        };
        let slow: Vec<_> = (0..40).map(|number| ask(format!("slow-{}:80", number % 8))).collect();
        let quick = tokio::time::timeout(Duration::from_secs(10), names.addresses("quick:80")).await;
        assert_eq!(quick.expect("in time").unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        let address = names.addresses("[::1]:443").await.unwrap();
        assert_eq!(address, ["[::1]:443".parse().unwrap()]);
        assert_eq!(names.addresses("absent:80").await.unwrap_err().to_string(), "no such name");
        assert_eq!(names.addresses("no port").await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        // All have begun once the last did; each name once.
        while BEGUN.load(Ordering::SeqCst) < 8 {
            tokio::task::yield_now().await;
        }
        *RELEASED.0.lock().unwrap() = true;
        RELEASED.1.notify_all();
        for one in slow {
            assert_eq!(one.await.unwrap().unwrap().len(), 1);
        }
        assert_eq!(BEGUN.load(Ordering::SeqCst), 8);
        assert!(names.under_way.lock().unwrap().is_empty());
    }
}
