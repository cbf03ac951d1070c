use std::{io::Read, os::unix::fs::MetadataExt};

use super::Check;
use crate::project::Project;

/// Checks the project's links `disco` and `discod`, whose targets `ssh_install` sends to machines.
pub(super) fn check(project: &Project) -> Vec<Check> {
    ["disco", "discod"].iter().map(|name| binary(project, name)).collect()
}

fn binary(project: &Project, name: &str) -> Check {
    let mut link = project.root().join(name);
    let mut repoint = format!("link it to a built binary: `ln -sfn /path/to/{name} {}`", link.display());
    let found = match std::fs::symlink_metadata(&link) {
        Ok(found) => found,
        // Without a link in the project, the file beside this program is sent.
        Err(_) => {
            let beside = std::env::current_exe().map(|own| own.with_file_name(name)).unwrap_or_default();
            let Ok(found) = std::fs::symlink_metadata(&beside) else {
                return Check::bad(name, "found neither in the project nor next to this program").next(repoint);
            };
            repoint = "build it with `cargo build --release`".to_owned();
            link = beside;
            found
        }
    };
    let target = match std::fs::read_link(&link) {
        Ok(target) => target.display().to_string(),
        Err(_) => link.display().to_string(),
    };
    let opened = std::fs::File::open(&link).and_then(|mut file| {
        let mut head = [0; 20];
        file.read_exact(&mut head)?;
        Ok((file.metadata()?, head))
    });
    let (metadata, head) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && found.is_symlink() => {
            return Check::bad(name, format!("dangling symlink: `{target}` does not exist")).next(repoint);
        }
        Err(error) => return Check::bad(name, format!("cannot read `{target}`: {error}")).next(repoint),
    };
    let Some(architecture) = architecture(&head) else {
        return Check::bad(name, format!("`{target}` is not a 64-bit Linux executable")).next(repoint);
    };
    if metadata.mode() & 0o111 == 0 {
        return Check::bad(name, format!("`{target}` is not executable")).next(format!("chmod +x {target}"));
    }
    Check::good(name, format!("{target} ({architecture}, {:.1} MB)", metadata.len() as f64 / 1e6))
}

/// The architecture of a 64-bit little-endian ELF file, from its `e_machine`.
fn architecture(head: &[u8; 20]) -> Option<&'static str> {
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    match u16::from_le_bytes([head[18], head[19]]) {
        0x3e => Some("x86_64"),
        0xb7 => Some("aarch64"),
        _ => Some("another architecture"),
    }
}
