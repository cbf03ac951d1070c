//! A Python with moto, in a virtual environment made by the tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use rustix::fs::{FlockOperation, flock};

/// From PyPI. Pinned, as `tests/aws/cloud.py` replaces some of its internals.
const MOTO: &str = "moto[ec2,iam,server]==5.2.5";

static PYTHON: LazyLock<Result<PathBuf, String>> = LazyLock::new(make);

/// The interpreter, or why it is not available.
pub(super) fn python() -> Result<&'static Path, &'static str> {
    PYTHON.as_deref().map_err(String::as_str)
}

/// `DISCO_TEST_PYTHON` names one with moto; else moto is installed below the target folder, once.
fn make() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("DISCO_TEST_PYTHON") {
        return Ok(given.into());
    }
    // `target/debug/deps/name-hash`; the folder is `target/tmp/moto-…`.
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = own.ancestors().nth(3).ok_or("tests are three folders deep")?;
    let folder = target.join("tmp").join(MOTO.replace(['[', ']', ',', '='], "-"));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    // Other test programs wait for the one that makes it.
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| error.to_string())?;
    let (venv, done) = (folder.join("venv"), folder.join("done"));
    let python = venv.join("bin/python");
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MOTO]))?;
        File::create(done).map_err(|error| error.to_string())?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let line = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Err(format!("{line}: {}", text.trim()))
}
