use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{SOON, wait_for};

/// What a machine has besides the smallest system there is.
const PACKAGES: &str = "systemd-sysv,openssh-server,cron,dbus,dbus-user-session,libpam-systemd";
/// Raised with each change of the system that is kept.
const GENERATION: u32 = 2;
/// Below the machine's folder: where its file system begins.
const ROOT: &str = "root";
/// Starting a whole system, beside other tests.
const BOOT: Duration = Duration::from_secs(90);

/// A machine as users have it: Debian or Ubuntu, whichever this machine is, with systemd as its first process and OpenSSH, on
/// a loopback address of its own. It has its own files and processes, and shares the network.
pub struct SystemdMachine {
    folder: PathBuf,
    address: SocketAddr,
    mark: PathBuf,
    process: Option<Child>,
}

impl SystemdMachine {
    /// Why there can be none here.
    #[must_use]
    pub fn missing() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("machines with systemd take root".to_owned());
        }
        let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
        let absent: Vec<_> = ["systemd-nspawn", "debootstrap", "unshare"].into_iter().filter(|it| !there(it)).collect();
        if !absent.is_empty() {
            let packages = "Debian: systemd-container, debootstrap, util-linux";
            return Some(format!("machines with systemd take {} ({packages})", absent.join(", ")));
        }
        let allowed = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
        let allowed = allowed.is_ok_and(|output| output.status.success());
        (!allowed).then(|| "a process namespace cannot be made here".to_owned())
    }

    /// Makes one in `folder`, which admits root with `public_key`, and starts it. Processes carry `mark`.
    ///
    /// # Panics
    /// When it cannot be made or does not start.
    #[must_use]
    pub fn start(folder: &Path, ip: IpAddr, public_key: &str, mark: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let root = folder.join(ROOT);
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(base()).arg(&root));
        fs::create_dir_all(root.join("root/.ssh")).unwrap();
        let keys = root.join("root/.ssh/authorized_keys");
        fs::write(&keys, format!("{public_key}\n")).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(root.join("etc/ssh/sshd_config.d/address.conf"), format!("ListenAddress {ip}:22\n")).unwrap();
        // All have been made of the same system: a key of its own.
        for kind in ["rsa", "ecdsa", "ed25519"] {
            for suffix in ["", ".pub"] {
                let _ = fs::remove_file(root.join(format!("etc/ssh/ssh_host_{kind}_key{suffix}")));
            }
        }
        let host_key = root.join("etc/ssh/ssh_host_ed25519_key");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(host_key));
        let address = SocketAddr::new(ip, 22);
        let mut machine = Self { folder: folder.to_owned(), address, mark: mark.to_owned(), process: None };
        machine.up();
        machine
    }

    /// Starts the machine (again), and returns when it takes connections.
    ///
    /// # Panics
    /// When it does not.
    pub fn up(&mut self) {
        let console = File::options().create(true).append(true).open(self.folder.join("console.log")).unwrap();
        let name = self.folder.file_name().unwrap_or_default();
        // Whoever ends the outermost process ends the machine: its first process, and with it all others.
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "systemd-nspawn", "--quiet"]);
        command.args(["--register=no", "--keep-unit", "--link-journal=no", "--boot", "--directory"]);
        command.arg(self.folder.join(ROOT)).arg("--machine").arg(name);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("DISCO_TEST_DIR", &self.mark);
        command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
        self.process = Some(command.spawn().unwrap());
        wait_for(BOOT, "a machine with systemd", || {
            TcpStream::connect(self.address).map(drop).map_err(|error| format!("{error}\n{}", self.log()))
        });
    }

    /// Takes the machine's power away.
    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Fails only when it has ended.
            let _ = process.kill();
            let _ = process.wait();
            wait_for(SOON, "the end of a machine", || match TcpStream::connect(self.address) {
                Ok(_) => Err("it still takes connections"),
                Err(_) => Ok(()),
            });
        }
    }

    /// `user@ip:port`, as `HostsProvider.init` takes it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("root@{}", self.address)
    }

    /// The same for a user without rights, who is made, and admitted with the same key.
    ///
    /// # Panics
    /// When there can be none.
    #[must_use]
    pub fn host_of(&self, user: &str) -> String {
        let script = format!(
            "useradd --create-home {user} && cp -r /root/.ssh /home/{user}/ && chown -R {user}: /home/{user}/.ssh"
        );
        run(Command::new("chroot").arg(self.folder.join(ROOT)).args(["/bin/sh", "-c", &script]));
        format!("{user}@{}", self.address)
    }

    /// A file of the machine, as it is seen from outside.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.join(ROOT).join(path.trim_start_matches('/'))
    }

    /// What the machine has shown, and what its daemon said.
    #[must_use]
    pub fn log(&self) -> String {
        let console = fs::read_to_string(self.folder.join("console.log")).unwrap_or_default();
        let journal = self.file("/var/log/journal");
        let journal = Command::new("journalctl").arg("-D").arg(journal).args(["-u", "discod", "-n", "80"]).output();
        let journal = journal.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        format!("===== console\n{}\n===== discod\n{journal}", crate::project::tail(&console))
    }
}

impl Drop for SystemdMachine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("===== machine {}\n{}", self.address, self.log());
        }
        self.down();
    }
}

/// The system that machines are copies of: made once for a user, and kept with the caches.
fn base() -> PathBuf {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    let cache = cache.unwrap_or_else(home).join("disco");
    fs::create_dir_all(&cache).unwrap();
    // Whoever comes second waits and finds it made.
    let lock = File::create(cache.join("machine.lock")).unwrap();
    lock.lock().unwrap();
    let path = cache.join(format!("machine-{release}-{GENERATION}"));
    if !path.exists() {
        let new = cache.join(format!("machine-{release}-{GENERATION}.new"));
        if new.exists() {
            fs::remove_dir_all(&new).unwrap();
        }
        let mut make = Command::new("debootstrap");
        make.args(["--variant=minbase", &format!("--include={PACKAGES}"), release]).arg(&new).args(mirror());
        run(&mut make);
        for unused in ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"] {
            let _ = fs::remove_dir_all(new.join(unused));
        }
        // So that the journal outlives the machine, and a failed test can show it.
        fs::create_dir_all(new.join("var/log/journal")).unwrap();
        fs::rename(new, &path).unwrap();
        // Machines are copies, so nothing uses the systems of earlier generations.
        for entry in fs::read_dir(&cache).unwrap() {
            let entry = entry.unwrap();
            let earlier = entry.file_name().to_string_lossy().starts_with(&format!("machine-{release}"));
            if earlier && entry.path() != path {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }
    path
}

/// Where this machine gets its own packages from.
fn mirror() -> Option<String> {
    let targets = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"];
    let output = Command::new("apt-get").args(targets).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(ToOwned::to_owned)
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", crate::project::tail(&String::from_utf8_lossy(&said)));
}
