use std::path::Path;

use crate::{
    error::{Failure, Outcome},
    founding::valid_cluster_name,
};

pub(super) fn checked(name: &str) -> Outcome<String> {
    valid_cluster_name(name).map_err(Failure::usage)?;
    Ok(name.to_owned())
}

/// A valid cluster name derived from the folder's name.
pub(super) fn from_folder(dir: &Path) -> Outcome<String> {
    let whole = std::path::absolute(dir).map_err(|error| Failure::io("find folder", dir, &error))?;
    let folder = whole.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name: String = name.trim_matches('-').chars().take(32).collect();
    if valid_cluster_name(&name).is_ok() { Ok(name) } else { Ok("my-cluster".to_owned()) }
}
