use std::path::Path;

use crate::{
    error::{Failure, Outcome},
    founding::valid_cluster_name,
};

pub(super) fn checked(name: &str) -> Outcome<String> {
    valid_cluster_name(name).map_err(Failure::usage)?;
    Ok(name.to_owned())
}

/// A valid cluster name derived from the folder's name; and why it is another one, if the folder's is not valid.
pub(super) fn from_folder(dir: &Path) -> Outcome<(String, Option<String>)> {
    let whole = std::path::absolute(dir).map_err(|error| Failure::io("find folder", dir, &error))?;
    let folder = whole.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name: String = name.trim_matches('-').chars().take(32).collect();
    match valid_cluster_name(&name) {
        Ok(()) => Ok((name, None)),
        Err(refused) => Ok(("my-cluster".to_owned(), Some(refused))),
    }
}
