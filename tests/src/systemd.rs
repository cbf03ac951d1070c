use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{SOON, wait_for};

/// Packages in addition to the minimal system.
const PACKAGES: &str = "systemd-sysv,openssh-server,cron,dbus,dbus-user-session,libpam-systemd";
/// Incremented with each change of the cached system.
const GENERATION: u32 = 2;
/// The machine's root file system, below its folder.
const ROOT: &str = "root";
/// Time limit for booting a system, beside other tests.
const BOOT: Duration = Duration::from_secs(90);

/// A realistic machine: Debian or Ubuntu, as this machine, with systemd as its first process and OpenSSH, on its own
/// loopback address. It has its own files and processes, and shares the network.
pub struct SystemdMachine {
    folder: PathBuf,
    address: SocketAddr,
    mark: PathBuf,
    process: Option<Child>,
}

impl SystemdMachine {
    /// Why such machines are not possible here.
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

    /// Makes a machine in `folder` that authorizes `public_key` for root, and starts it. Its processes carry `mark`.
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
        // All are copies of the same system: each needs its own host key.
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

    /// Starts the machine (again), and returns when it accepts connections.
    ///
    /// # Panics
    /// When it does not.
    pub fn up(&mut self) {
        let console = File::options().create(true).append(true).open(self.folder.join("console.log")).unwrap();
        let name = self.folder.file_name().unwrap_or_default();
        // The end of the outermost process ends the machine: its first process, and with it all others.
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

    /// Cuts the machine's power.
    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Fails only when it has ended.
            let _ = process.kill();
            let _ = process.wait();
            wait_for(SOON, "the end of a machine", || match TcpStream::connect(self.address) {
                Ok(_) => Err("it still accepts connections"),
                Err(_) => Ok(()),
            });
        }
    }

    /// `user@ip:port`, as `HostsProvider.init` takes it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("root@{}", self.address)
    }

    /// The same for an unprivileged user, who is created and authorized with the same key.
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

    /// A file of the machine, as a path on this computer.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.join(ROOT).join(path.trim_start_matches('/'))
    }

    /// The machine's console, and its daemon's log.
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

/// The system that is copied for machines: made once per user, and cached.
fn base() -> PathBuf {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    let cache = cache.unwrap_or_else(home).join("disco");
    fs::create_dir_all(&cache).unwrap();
    // A concurrent caller waits and finds it made.
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
        // Makes the journal persistent, so that a failed test can show it.
        fs::create_dir_all(new.join("var/log/journal")).unwrap();
        fs::rename(new, &path).unwrap();
        // Machines are copies, so systems of earlier generations are unused.
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

/// The package mirror of this machine.
fn mirror() -> Option<String> {
    let targets = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"];
    let output = Command::new("apt-get").args(targets).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(ToOwned::to_owned)
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", crate::project::tail(&String::from_utf8_lossy(&text)));
}
