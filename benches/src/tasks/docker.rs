//! The side of Docker: the same program in an image of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use disco_tests::Binaries;

/// The image's name.
const IMAGE: &str = "disco-task-bench";
/// The first port that containers listen at.
const PORT: u64 = 28_600;

/// An engine that answers, and the image.
pub(crate) struct Docker;

// === impl Docker ===

impl Docker {
    /// Makes the image, if an engine answers.
    pub(crate) fn find() -> Result<Option<Self>> {
        let answers = Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success());
        if !answers {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let program = Binaries::get().sample();
        place(&program, Path::new("/sample"), folder.path())?;
        let libraries = Command::new("ldd").arg(&program).output()?;
        for library in String::from_utf8(libraries.stdout)?.split_whitespace().filter(|word| word.starts_with('/')) {
            place(Path::new(library), Path::new(library), folder.path())?;
        }
        let tar = folder.path().join("image.tar");
        check(
            Command::new("tar").arg("-C").arg(folder.path()).arg("--exclude=image.tar").arg("-cf").arg(&tar).arg("."),
        )?;
        check(Command::new("docker").arg("import").arg(&tar).arg(IMAGE))?;
        Ok(Some(Self))
    }

    /// Starts a container. When its program was executed, in microseconds since 1970.
    pub(crate) fn run(&self, number: u64) -> Result<i64> {
        let port = PORT + number;
        let mut command = Command::new("docker");
        command.args(["run", "-d", "--network", "host", "-e", "DISCO_ADDRESS=127.0.0.1"]);
        command.arg("-e").arg(format!("PORT={port}")).arg("--name").arg(format!("{IMAGE}-{number}"));
        check(command.args([IMAGE, "/sample", "web"]))?;
        super::executed_us(&format!("127.0.0.1:{port}"))
    }

    /// Removes the containers of this program, and the image.
    pub(crate) fn remove(self) -> Result<()> {
        let ids = check(Command::new("docker").args(["ps", "-aq", "--filter"]).arg(format!("ancestor={IMAGE}")))?;
        let ids = String::from_utf8(ids.stdout)?;
        check(Command::new("docker").args(["rm", "-f"]).args(ids.split_whitespace()))?;
        check(Command::new("docker").args(["rmi", IMAGE]))?;
        Ok(())
    }
}

fn place(from: &Path, to: &Path, root: &Path) -> Result<()> {
    let target = root.join(to.strip_prefix("/")?);
    fs::create_dir_all(target.parent().context("a folder")?)?;
    fs::copy(from, target).with_context(|| from.display().to_string())?;
    Ok(())
}

fn check(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}
