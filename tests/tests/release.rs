//! A release as `scripts/package` makes it, and `install.sh` that installs it from a web server.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use disco_tests::{Binaries, skipped};
use tempfile::TempDir;

/// The files of a release whose programs call those of this build, so that they are small.
struct Release {
    folder: TempDir,
    version: String,
}

impl Release {
    fn make() -> Self {
        let folder = TempDir::new().unwrap();
        let static_programs = folder.path().join("static/x86_64");
        std::fs::create_dir_all(&static_programs).unwrap();
        let built = Binaries::get();
        for (name, program) in [("disco", &built.disco), ("discod", &built.discod)] {
            let text = format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display());
            std::fs::write(static_programs.join(name), text).unwrap();
            std::fs::set_permissions(static_programs.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        let release = Self { folder, version: env!("CARGO_PKG_VERSION").to_owned() };
        release.package("files");
        release
    }

    fn package(&self, out: &str) -> PathBuf {
        let out = self.folder.path().join(out);
        let mut command = Command::new(root().join("scripts/package"));
        command.args(["--arch", "x86_64", "--from"]).arg(self.folder.path().join("static")).arg("--out").arg(&out);
        // A machine of another architecture runs these scripts as well.
        command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUNNER", "sh");
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", text(&made));
        out
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    fn archive(&self) -> PathBuf {
        self.files().join(format!("disco-{}-x86_64.tar.gz", self.version))
    }
}

/// A web server that gives out a folder.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(folder).arg("0");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port =
            line.split_whitespace().skip_while(|word| *word != "port").nth(1).expect("the port that it listens on");
        Self { url: format!("http://127.0.0.1:{port}"), process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs `install.sh` for a user with that home, whose machine is of x86_64 and has no proxy.
fn install(shell: &[&str], server: &Server, home: &Path, args: &[&str]) -> Output {
    let path = home.join("path");
    if !path.exists() {
        std::fs::create_dir_all(&path).unwrap();
        let uname = "#!/bin/sh\ncase $1 in -m) echo x86_64 ;; *) echo Linux ;; esac\n";
        std::fs::write(path.join("uname"), uname).unwrap();
        std::fs::set_permissions(path.join("uname"), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(root().join("install.sh")).args(["--url", &server.url]).args(args);
    command.env("HOME", home).env("PATH", format!("{}:{}", path.display(), std::env::var("PATH").unwrap()));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

fn has(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn a_release_is_installed_by_any_shell_without_root() {
    if !has("curl") && !has("wget") || !has("python3") {
        return skipped("curl or wget, and python3 are not installed");
    }
    let release = Release::make();
    let server = Server::start(&release.files());
    for shell in [&["sh"][..], &["bash", "--posix"], &["dash"], &["busybox", "sh"]] {
        if !has(shell[0]) {
            println!("{} is not installed, and so not tried", shell[0]);
            continue;
        }
        let home = TempDir::new().unwrap();
        let done = install(shell, &server, home.path(), &[]);
        assert!(done.status.success(), "{shell:?}: {}", text(&done));
        let said = text(&done);
        let bin = home.path().join(".local/bin");
        for expected in ["verified", "installed", &bin.display().to_string(), "disco init my-cluster", "export PATH="] {
            assert!(said.contains(expected), "{shell:?}: no {expected} in {said}");
        }
        assert_eq!(names(&bin), ["disco", "discod"]);
        for program in ["disco", "discod"] {
            let version = Command::new(bin.join(program)).arg("--version").output().unwrap();
            assert!(text(&version).contains(&release.version), "{}", text(&version));
        }
        let share = home.path().join(".local/share");
        assert!(std::fs::read_to_string(share.join("man/man1/disco.1")).unwrap().contains("bootstrap"));
        assert!(share.join("bash-completion/completions/disco").is_file());
        // Again: the same, and nothing is left beside it.
        assert!(install(shell, &server, home.path(), &["--version", &release.version]).status.success());
        assert_eq!(names(&bin), ["disco", "discod"]);
    }
    let other = TempDir::new().unwrap();
    let refused = install(&["sh"], &server, other.path(), &["--version", "0.0.9"]);
    assert!(!refused.status.success() && text(&refused).contains("not 0.0.9"), "{}", text(&refused));
    let unknown = install(&["sh"], &server, other.path(), &["--verbose"]);
    assert!(!unknown.status.success() && text(&unknown).contains("`--verbose`"), "{}", text(&unknown));
    assert!(!other.path().join(".local").exists());
}

#[test]
fn what_is_not_as_its_checksum_says_is_not_installed() {
    if !has("curl") && !has("wget") || !has("python3") {
        return skipped("curl or wget, and python3 are not installed");
    }
    let release = Release::make();
    let server = Server::start(&release.files());
    let home = TempDir::new().unwrap();
    let mut bytes = std::fs::read(release.archive()).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(release.archive(), &bytes).unwrap();
    let refused = install(&["sh"], &server, home.path(), &[]);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(text(&refused).contains("nothing was installed"), "{}", text(&refused));

    std::fs::remove_file(release.archive()).unwrap();
    let missing = install(&["sh"], &server, home.path(), &[]);
    assert!(!missing.status.success() && text(&missing).contains("cannot download"), "{}", text(&missing));

    let sums = release.files().join("SHA256SUMS");
    for (content, expected) in
        [("not a list of checksums\n", "names no single archive"), ("", "names no single archive")]
    {
        std::fs::write(&sums, content).unwrap();
        let refused = install(&["sh"], &server, home.path(), &[]);
        assert!(!refused.status.success() && text(&refused).contains(expected), "{}", text(&refused));
    }
    assert!(!home.path().join(".local").exists(), "something was installed");
}

#[test]
fn the_same_programs_make_the_same_files() {
    let release = Release::make();
    let again = release.package("again");
    let sums = |folder: &Path| std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(&release.files()), sums(&again));
    for line in sums(&again).lines() {
        let (digits, name) = line.split_once("  ").unwrap();
        let mut bytes = Vec::new();
        std::fs::File::open(again.join(name)).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(digits, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes)), "{name}");
    }
    let packages: Vec<_> =
        names(&again).into_iter().filter(|name| Path::new(name).extension().is_some_and(|end| end == "deb")).collect();
    if !has("dpkg-deb") {
        return skipped("dpkg-deb is not installed");
    }
    assert_eq!(packages, [format!("disco_{}_amd64.deb", release.version)]);
    let tree = TempDir::new().unwrap();
    let unpacked = Command::new("dpkg-deb").arg("-x").arg(again.join(&packages[0])).arg(tree.path()).output().unwrap();
    assert!(unpacked.status.success(), "{}", text(&unpacked));
    for file in
        ["usr/bin/disco", "usr/bin/discod", "usr/share/man/man1/disco.1.gz", "usr/share/zsh/vendor-completions/_disco"]
    {
        assert!(tree.path().join(file).is_file(), "{file}");
    }
}
