//! The log's file, damaged in every way: what was acknowledged is there, or the log is refused.

use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use super::*;

const ENTRIES: u64 = 40;

fn open(folder: &Path) -> io::Result<LogDatabase> {
    LogDatabase::open(&folder.join("raft.redb"), Space::new(folder.to_owned()))
}

fn value(index: u64) -> Vec<u8> {
    vec![u8::try_from(index % 251).unwrap(); 100 + 37 * usize::try_from(index).unwrap()]
}

async fn append(log: &LogDatabase, index: u64) {
    log.write(Change::Append(vec![(index, Arc::from(value(index)))])).await.unwrap();
}

/// A folder with a log as a process leaves it that is killed, and its bytes.
async fn killed() -> (tempfile::TempDir, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    log.write(Change::Set(meta::VOTE, b"a vote".to_vec())).await.unwrap();
    for index in 0..ENTRIES {
        append(&log, index).await;
    }
    // As it is now, with the database still open.
    let bytes = fs::read(folder.path().join("raft.redb")).unwrap();
    let mark = fs::read(folder.path().join(log_mark::FILE)).unwrap();
    (folder, bytes, mark)
}

fn folder_with(log: &[u8], mark: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("raft.redb"), log).unwrap();
    fs::write(folder.path().join(log_mark::FILE), mark).unwrap();
    folder
}

/// Everything that was acknowledged, or an error; never less, never anything else.
fn check(folder: &Path) -> io::Result<()> {
    let log = open(folder)?;
    assert_eq!(log.get(meta::VOTE)?.as_deref(), Some(b"a vote".as_slice()));
    let found = log.range(Bound::Unbounded, Bound::Unbounded)?;
    let expected: Vec<_> = (0..ENTRIES).map(|index| (index, value(index))).collect();
    assert!(found == expected, "{} entries, or not those that were written", found.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_everything_is_there() {
    let (_open, log, mark) = killed().await;
    check(folder_with(&log, &mark).path()).unwrap();
    // Also when the mark was not made, or its last writing was lost.
    let folder = folder_with(&log, &mark);
    fs::remove_file(folder.path().join(log_mark::FILE)).unwrap();
    check(folder.path()).unwrap();
    check(folder_with(&log, b"damaged").path()).unwrap();
}

/// Damage that redb's own code answers with a panic counts as refused: the process ends, and nobody is told anything wrong.
fn survives(log: &[u8], mark: &[u8]) -> Result<(), String> {
    let folder = folder_with(log, mark);
    let checked = std::panic::catch_unwind(|| check(folder.path()));
    match checked {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(!text.contains("those that were written"), "{text}");
            Err(format!("panic: {text}"))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_anywhere_is_an_error_or_harmless() {
    let (_open, log, mark) = killed().await;
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut harmless, mut refused) = (0, 0);
    // The head byte by byte, the rest at steps that share no factor with a page.
    for offset in (0..400).chain((400..used).step_by(4001)) {
        let mut flipped = log.clone();
        flipped[offset] ^= 0x10;
        match survives(&flipped, &mark) {
            Ok(()) => harmless += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{harmless} harmless, {refused} refused");
    assert!(harmless > 0 && refused > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_an_error_or_harmless() {
    let (_open, log, mark) = killed().await;
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    for offset in (0..used).step_by(4096 * 3 + 511) {
        // Cut off, and as a sector that was not written.
        assert!(survives(&log[..offset], &mark).is_err(), "cut at {offset}");
        let mut torn = log.clone();
        let end = torn.len().min(offset + 512);
        torn[offset..end].fill(0);
        let _ = survives(&torn, &mark);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    append(&log, 0).await;
    let before = fs::read(folder.path().join("raft.redb")).unwrap();
    append(&log, 1).await;
    let mark = fs::read(folder.path().join(log_mark::FILE)).unwrap();
    let error = open(folder_with(&before, &mark).path()).err().unwrap().to_string();
    assert!(error.contains("has lost what it held") && error.contains("hint:"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_empty_or_another_one_is_refused() {
    let (_open, log, mark) = killed().await;
    let gone = folder_with(&log, &mark);
    fs::remove_file(gone.path().join("raft.redb")).unwrap();
    let error = open(gone.path()).err().unwrap().to_string();
    assert!(error.contains("raft.redb` is gone") && error.contains("disco node rm"), "{error}");
    assert!(!gone.path().join("raft.redb").exists(), "nothing is put in its place");
    for other in [Vec::new(), killed().await.1] {
        let error = open(folder_with(&other, &mark).path()).err().unwrap().to_string();
        assert!(error.contains("not the log that the node had"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_ids_and_checksums_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    {
        let old = Database::create(folder.path().join("raft.redb")).unwrap();
        let write = old.begin_write().unwrap();
        {
            let mut meta = write.open_table(META).unwrap();
            meta.insert(meta::VOTE, b"a vote".as_slice()).unwrap();
            let mut log = write.open_table(LOG).unwrap();
            for index in 0..ENTRIES {
                log.insert(index, value(index).as_slice()).unwrap();
            }
        }
        write.commit().unwrap();
    }
    check(folder.path()).unwrap();
    // The writer of the first time may still be about to end.
    while let Err(error) = check(folder.path()) {
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    }
    assert!(folder.path().join(log_mark::FILE).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_process_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path()).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
}
