//! Files that operators and scripts put on this node.
//!
//! A file arrives in parts, in order. They are written to a file beside the target, which replaces the target
//! atomically once the last part has arrived and the checksum matches: no reader ever sees a partial file. Each upload
//! has its own file, so the same file may be uploaded twice at once, and a repeated part overwrites its previous copy.

use std::fs::Permissions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Bytes in one part.
pub const PART_BYTES: usize = 1 << 20;
/// The next upload to the same target removes what an abandoned one has left, after this time.
const STALE: Duration = Duration::from_secs(3600);
/// The largest file.
const FILE_BYTES: u64 = 64 << 20;

/// A part of a file.
#[derive(Clone, Debug)]
pub struct Part {
    /// Absolute path of the target.
    pub path: String,
    /// Permission bits; 0 stands for 0644.
    pub mode: u32,
    /// The bytes of this part.
    pub data: Bytes,
    /// Their position in the file.
    pub offset: u64,
    /// Size of the whole file.
    pub size: u64,
    /// Checksum of the whole file, lower-case hexadecimal.
    pub sha256: String,
    /// Id of the upload that it belongs to; may be empty.
    pub upload: String,
}

/// Why a part was not written.
#[derive(Debug, Error)]
pub enum FileError {
    /// The request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// The file system refused it. The error names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a part; with the last one the file appears under its name.
///
/// # Errors
/// See [`FileError`].
pub async fn write(part: Part) -> Result<(), FileError> {
    match tokio::task::spawn_blocking(move || write_part(&part)).await {
        Ok(result) => result,
        Err(panic) => Err(FileError::Io(io::Error::other(panic))),
    }
}

fn write_part(part: &Part) -> Result<(), FileError> {
    let target = check(part)?;
    let end = part.offset + part.data.len() as u64;
    let partial = partial(target, part);
    let mut file = if part.offset == 0 { begin(target, &partial)? } else { go_on(&partial, part.offset)? };
    file.write_all(&part.data)?;
    if end < part.size {
        return Ok(());
    }
    let finished = finish(part, file, &partial, target);
    if finished.is_err() {
        // The original error is reported; a failure to remove the file adds nothing.
        let _ = fs_err::remove_file(&partial);
    }
    finished
}

/// The target, if the request is valid.
fn check(part: &Part) -> Result<&Path, FileError> {
    let invalid = |why: &str| Err(FileError::Invalid(format!("cannot write `{}`: {why}", part.path)));
    let target = Path::new(&part.path);
    if !target.is_absolute() || part.path.contains('\0') {
        return invalid("the path on a node must be absolute");
    }
    if target.file_name().is_none() || part.path.ends_with('/') {
        return invalid("the path must name a file, not a folder");
    }
    if target.is_dir() {
        return invalid("a folder with this name exists");
    }
    if part.size > FILE_BYTES {
        return invalid(&format!("the file has {} bytes; at most {FILE_BYTES} are allowed", part.size));
    }
    if part.data.len() > PART_BYTES {
        return invalid(&format!("a part has {} bytes; at most {PART_BYTES} are allowed", part.data.len()));
    }
    if part.offset.checked_add(part.data.len() as u64).is_none_or(|end| end > part.size) {
        return invalid("a part extends beyond the end of the file");
    }
    if part.data.is_empty() && part.size > 0 {
        return invalid("a part is empty");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if part.upload.len() > 64 || !part.upload.bytes().all(is_plain) {
        return invalid("the name of the upload must consist of letters, digits and `-`");
    }
    if part.sha256.len() != 64 || !part.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return invalid("the checksum must be a SHA-256 in hexadecimal");
    }
    Ok(target)
}

/// The prefix of the names of all partial files of a target.
fn prefix(target: &Path) -> String {
    let name = Sha256::digest(target.as_os_str().as_encoded_bytes());
    format!(".disco-{}-", hex::encode(&name[..4]))
}

/// The same for all parts of one upload, and different for each target, content and upload.
fn partial(target: &Path, part: &Part) -> PathBuf {
    let dash = if part.upload.is_empty() { "" } else { "-" };
    let content = part.sha256[..16].to_ascii_lowercase();
    target.with_file_name(format!("{}{content}{dash}{}", prefix(target), part.upload))
}

/// Removes what abandoned uploads to this target have left.
fn sweep(folder: &Path, target: &Path) {
    let prefix = prefix(target);
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > STALE) {
            // The file does no harm; the next upload retries.
            let _ = fs_err::remove_file(entry.path());
        }
    }
}

fn begin(target: &Path, partial: &Path) -> io::Result<fs_err::File> {
    if let Some(folder) = target.parent() {
        fs_err::create_dir_all(folder)?;
        sweep(folder, target);
    }
    match fs_err::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    // Creates a new file, and never follows a link of that name.
    options.read(true).write(true).create_new(true).mode(0o600);
    fs_err::OpenOptions::from_options(options).open(partial)
}

fn go_on(partial: &Path, offset: u64) -> Result<fs_err::File, FileError> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).custom_flags(no_follow());
    let mut file = match fs_err::OpenOptions::from_options(options).open(partial) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FileError::Invalid(
                "the parts of a file must arrive in order, starting with the first".to_owned(),
            ));
        }
        opened => opened?,
    };
    let length = file.metadata()?.len();
    if length < offset {
        return Err(FileError::Invalid(format!("a part begins at byte {offset}, but {length} bytes are stored")));
    }
    // A client that did not receive the answer sends a part again.
    file.file().set_len(offset)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// The flag in the standard library's type.
fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

fn finish(part: &Part, file: fs_err::File, partial: &Path, target: &Path) -> Result<(), FileError> {
    let mut whole = fs_err::File::open(partial)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match whole.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    if !hex::encode(hasher.finalize()).eq_ignore_ascii_case(&part.sha256) {
        return Err(FileError::Invalid(format!(
            "the content of `{}` does not match the announced checksum",
            part.path
        )));
    }
    let mode = if part.mode == 0 { 0o644 } else { part.mode & 0o7777 };
    fs_err::set_permissions(partial, Permissions::from_mode(mode))?;
    file.sync_all()?;
    drop(file);
    fs_err::rename(partial, target)?;
    if let Some(folder) = target.parent() {
        // The name itself must be durable, too.
        fs_err::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &Path, whole: &[u8], range: std::ops::Range<usize>) -> Part {
        Part {
            path: path.to_str().unwrap().to_owned(),
            mode: 0o750,
            data: Bytes::copy_from_slice(&whole[range.clone()]),
            offset: range.start as u64,
            size: whole.len() as u64,
            sha256: hex::encode(Sha256::digest(whole)),
            upload: String::new(),
        }
    }

    #[test]
    fn concurrent_uploads_of_one_file_and_repeated_parts_succeed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        let whole: Vec<u8> = (0..5000_u32).map(|number| (number % 251) as u8).collect();
        let of = |upload: &str, range| Part { upload: upload.to_owned(), ..part(&target, &whole, range) };
        for upload in ["a", "b"] {
            write_part(&of(upload, 0..2000)).unwrap();
        }
        write_part(&of("a", 2000..4000)).unwrap();
        write_part(&of("b", 2000..4000)).unwrap();
        write_part(&of("b", 2000..4000)).unwrap();
        write_part(&of("a", 4000..5000)).unwrap();
        write_part(&of("b", 4000..5000)).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), whole);
        // Abandoned long ago, and just now.
        for (upload, hours) in [("old", 2), ("new", 0)] {
            write_part(&of(upload, 0..10)).unwrap();
            let left = std::fs::File::options().write(true).open(partial(&target, &of(upload, 0..10))).unwrap();
            left.set_modified(std::time::SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        }
        write_part(&of("c", 0..5000)).unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name != "file").collect();
        assert!(left.len() == 1 && left[0].to_string_lossy().ends_with("-new"), "{left:?}");
        let odd = Part { upload: "../x".to_owned(), ..of("", 0..5000) };
        assert!(matches!(write_part(&odd), Err(FileError::Invalid(_))));
    }

    #[test]
    fn appears_whole_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a/b/file");
        let whole = vec![7; 5000];
        write_part(&part(&target, &whole, 0..3000)).unwrap();
        assert!(!target.exists());
        write_part(&part(&target, &whole, 3000..5000)).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), whole);
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o750);
        write_part(&part(&target, b"", 0..0)).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"");
        assert_eq!(std::fs::read_dir(target.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn parts_out_of_order_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        let whole = vec![7; 5000];
        assert!(matches!(write_part(&part(&target, &whole, 3000..5000)), Err(FileError::Invalid(_))));
        write_part(&part(&target, &whole, 0..1000)).unwrap();
        assert!(matches!(write_part(&part(&target, &whole, 3000..5000)), Err(FileError::Invalid(_))));
        assert!(!target.exists());
    }

    #[test]
    fn a_wrong_checksum_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        std::fs::write(&target, "old").unwrap();
        let wrong = Part { sha256: "0".repeat(64), ..part(&target, b"new", 0..3) };
        assert!(matches!(write_part(&wrong), Err(FileError::Invalid(_))));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn invalid_targets_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["relative", "/", "/x/", folder.path().to_str().unwrap()] {
            let part = Part { path: path.to_owned(), ..part(&folder.path().join("x"), b"x", 0..1) };
            assert!(matches!(write_part(&part), Err(FileError::Invalid(_))), "{path}");
        }
        let linked = folder.path().join("target");
        let outside = folder.path().join("outside");
        std::os::unix::fs::symlink(&outside, partial(&linked, &part(&linked, b"x", 0..1))).unwrap();
        write_part(&part(&linked, b"x", 0..1)).unwrap();
        assert!(!outside.exists(), "a link in the way is not followed");
    }
}
