use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{SOON, wait_for};

/// The file of authorized keys: the installer and the server must use the same one.
const KEYS: &str = "home/.ssh/authorized_keys";

/// A machine with a real OpenSSH server, on its own address.
///
/// Disco is installed below `DISCO_PREFIX`, so that nothing outside its folder is changed, for any user.
pub struct Sshd {
    folder: PathBuf,
    address: SocketAddr,
    /// The command prefix of the server.
    through: Vec<OsString>,
    child: Option<Child>,
}

impl Sshd {
    /// The server's path; `None` if it is not installed.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file())
    }

    /// Starts a server that authorizes `public_key`. `marks` are set in the environment of everything that it runs.
    #[must_use]
    pub fn start(folder: &Path, ip: IpAddr, public_key: &str, marks: &[(&str, &Path)]) -> Self {
        Self::start_behind(folder, ip, &[ip], &[], public_key, marks)
    }

    /// Starts one that has the addresses `own`, and is called at `ip` by others; `through` is what it is started through.
    #[must_use]
    pub fn start_behind(
        folder: &Path,
        ip: IpAddr,
        own: &[IpAddr],
        through: &[OsString],
        public_key: &str,
        marks: &[(&str, &Path)],
    ) -> Self {
        fs::create_dir_all(folder.join("home/.ssh")).unwrap();
        let (address, through) = (SocketAddr::new(ip, 2222), through.to_vec());
        let mut sshd = Self { folder: folder.to_owned(), address, through, child: None };
        sshd.new_host_key();
        let keys = folder.join(KEYS);
        fs::write(&keys, format!("{public_key}\n")).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
        let folder = folder.display();
        let mut variables = format!("HOME={folder}/home DISCO_PREFIX={folder}/disco");
        for (name, value) in marks {
            variables += &format!(" {name}={}", value.display());
        }
        let listen: String = own.iter().map(|ip| format!("ListenAddress {ip}:2222\n")).collect();
        // One channel at a time, like a strict server.
        let config = format!(
            "{listen}HostKey {folder}/host_key\nPidFile {folder}/pid\nMaxSessions 1\n\
             AuthorizedKeysFile {folder}/{KEYS}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nSetEnv {variables}\nLogLevel VERBOSE\n"
        );
        fs::write(sshd.folder.join("config"), config).unwrap();
        sshd.up();
        sshd
    }

    /// Makes a new host key, like another machine at the same address.
    pub fn new_host_key(&mut self) {
        let path = self.folder.join("host_key");
        for old in [path.clone(), self.folder.join("host_key.pub")] {
            let _ = fs::remove_file(old);
        }
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status().unwrap();
        assert!(made.success(), "ssh-keygen failed");
    }

    /// Starts the server (again).
    pub fn up(&mut self) {
        // As root the server needs this folder.
        let _ = fs::create_dir_all("/run/sshd");
        let log = File::options().create(true).append(true).open(self.folder.join("sshd.log")).unwrap();
        let program = Self::program().expect("there is an sshd");
        let mut words = self.through.iter().cloned().chain([program.into_os_string()]);
        let child = Command::new(words.next().expect("there is a program"))
            .args(words)
            .args(["-D", "-e", "-f"])
            .arg(self.folder.join("config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait_for(SOON, "sshd", || {
            TcpStream::connect(self.address).map(drop).map_err(|error| format!("{error}\n{}", self.log()))
        });
    }

    /// Stops the server and starts it again at another port.
    pub fn move_to(&mut self, port: u16) {
        self.down();
        let config = self.folder.join("config");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace(&format!(":{}\n", self.address.port()), &format!(":{port}\n"))).unwrap();
        self.address.set_port(port);
        self.up();
    }

    /// Stops the server; processes that it started continue.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only when it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `user@ip:port`, as `HostsProvider.init` takes it.
    #[must_use]
    pub fn host(&self) -> String {
        self.host_at(self.address.ip())
    }

    /// The same by another of its addresses.
    #[must_use]
    pub fn host_at(&self, ip: IpAddr) -> String {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        format!("{user}@{}", SocketAddr::new(ip, self.address.port()))
    }

    /// The file of authorized keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.folder.join(KEYS)
    }

    /// The prefix of Disco's installation.
    #[must_use]
    pub fn prefix(&self) -> PathBuf {
        self.folder.join("disco")
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("===== sshd\n{}\n===== discod\n{}", self.log(), crate::project::logs(&self.prefix()));
        }
        self.down();
    }
}
