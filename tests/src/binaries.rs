use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `disco`.
    pub disco: PathBuf,
    /// `discod`.
    pub discod: PathBuf,
}

static FOUND: OnceLock<Binaries> = OnceLock::new();

impl Binaries {
    /// Those in the folder `DISCO_TEST_BINARIES`, else those beside this test's program, which are built if they are missing or
    /// older than a source file.
    ///
    /// # Panics
    /// When they cannot be built.
    pub fn get() -> &'static Self {
        FOUND.get_or_init(|| {
            if let Some(folder) = std::env::var_os("DISCO_TEST_BINARIES") {
                return Self::beneath(Path::new(&folder));
            }
            let folder = built_in();
            let found = Self::beneath(&folder);
            if found.stale() || !folder.join("disco-test-reaper").is_file() {
                build(&folder);
            }
            assert!(found.disco.is_file() && found.discod.is_file(), "cargo built no binaries in {}", folder.display());
            found.stripped(&folder.join("disco-tests")).unwrap_or(found)
        })
    }

    /// The program that tests deploy, beside this test's program.
    ///
    /// # Panics
    /// When it cannot be built.
    #[must_use]
    pub fn sample(&self) -> PathBuf {
        let beside = self.discod.with_file_name("disco-sample");
        let folder = built_in();
        let path = if beside.is_file() { beside } else { folder.join("disco-sample") };
        if !path.is_file() {
            build(&folder);
        }
        assert!(path.is_file(), "cargo built no `{}`", path.display());
        path
    }

    /// Whether they are release builds, to which promises about time apply.
    #[must_use]
    pub fn optimised() -> bool {
        !cfg!(debug_assertions)
    }

    /// The same without symbols, half as large, as they are sent to every machine of every test. `None` without `strip`.
    fn stripped(&self, folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).ok()?;
        let stripped = Self::beneath(folder);
        let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        for (from, to) in [(&self.disco, &stripped.disco), (&self.discod, &stripped.discod)] {
            if modified(to) > modified(from) {
                continue;
            }
            // Atomically, as another test process may do the same.
            let making = to.with_extension(std::process::id().to_string());
            let done = Command::new("strip").arg("-o").arg(&making).arg(from).stderr(Stdio::null()).status();
            if !done.is_ok_and(|status| status.success()) || fs::rename(&making, to).is_err() {
                return None;
            }
        }
        Some(stripped)
    }

    fn beneath(folder: &Path) -> Self {
        Self { disco: folder.join("disco"), discod: folder.join("discod") }
    }

    fn stale(&self) -> bool {
        let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let (Some(disco), Some(discod)) = (modified(&self.disco), modified(&self.discod)) else { return true };
        newest(&workspace(), disco.min(discod))
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

/// Whether a source file of a crate is newer.
fn newest(folder: &Path, than: SystemTime) -> bool {
    const OTHERS: [&str; 7] = ["tests", "target", "docs", "benches", "node_modules", "scripts", "test-deployment"];
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || OTHERS.contains(&&*name) {
            return false;
        }
        let path = entry.path();
        if path.is_dir() {
            return newest(&path, than);
        }
        let source =
            ["rs", "js", "ts", "proto", "toml", "lock"].iter().any(|kind| path.extension().is_some_and(|e| e == *kind));
        source && entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|time| time > than)
    })
}

/// The target folder of programs: tests are below it, `target/debug/deps/name-hash`, other programs in it.
pub(crate) fn built_in() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a file");
    let folder = own.parent().expect("a file is in a folder");
    if folder.ends_with("deps") { folder.parent().expect("`deps` is in a folder") } else { folder }.to_owned()
}

/// Has cargo build the programs into this folder.
pub(crate) fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace()).args(["build", "--quiet", "--bins"]);
    // cargo's variables for tests would change the environment of build scripts, and a third of all crates would be rebuilt.
    let about = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| about.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    // `.ci/timed` sets it for the test harness; for the build scripts of half the tree it would be another compiler.
    command.env_remove("RUSTC_BOOTSTRAP");
    match folder.file_name().and_then(|name| name.to_str()) {
        // As for `cargo test --workspace`: with other features of a dependency half of the crates would be rebuilt.
        Some("debug") | None => {
            command.args(["--workspace", "--tests"]);
        }
        Some(profile) => {
            command.args([
                "-p",
                "disco",
                "-p",
                "discod",
                "-p",
                "disco-sample",
                "-p",
                "disco-tests",
                "--profile",
                profile,
            ]);
        }
    }
    command.arg("--target-dir").arg(folder.parent().expect("the profile's folder is in the target folder"));
    let done = command.status().expect("cargo can be started");
    assert!(done.success(), "`disco` and `discod` cannot be built");
}
