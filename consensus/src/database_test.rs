//! Damages the log's files in every way: acknowledged entries are present, or the log is refused.

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

/// Makes a change and waits until it is durable.
async fn write(log: &LogDatabase, change: Change) -> io::Result<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done: Done = Box::new(move |result| sender.send(result).unwrap());
    log.submit(change, Some(done)).await?;
    receiver.await.unwrap()
}

async fn append(log: &LogDatabase, index: u64) {
    write(log, Change::Append(vec![(index, Arc::from(value(index)))])).await.unwrap();
}

/// The files on disk.
#[derive(Clone)]
struct Files {
    log: Vec<u8>,
    journal: Vec<u8>,
    mark: Vec<u8>,
}

impl Files {
    fn read(folder: &Path) -> Self {
        let read = |name| fs::read(folder.join(name)).unwrap();
        Self { log: read("raft.redb"), journal: read(journal::FILE), mark: read(log_mark::FILE) }
    }

    fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("raft.redb"), &self.log).unwrap();
        fs::write(folder.path().join(journal::FILE), &self.journal).unwrap();
        fs::write(folder.path().join(log_mark::FILE), &self.mark).unwrap();
        folder
    }
}

/// The log of a killed process: the first half of the entries is in the database, the others are in the journal.
async fn killed() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    for index in 0..ENTRIES / 2 {
        append(&log, index).await;
    }
    write(&log, Change::Set(meta::VOTE, b"a vote".to_vec())).await.unwrap();
    assert_eq!(log.stored(), ENTRIES / 2);
    for index in ENTRIES / 2..ENTRIES {
        append(&log, index).await;
    }
    assert_eq!(log.stored(), ENTRIES / 2);
    // The current state, with the database still open.
    let files = Files::read(folder.path());
    (folder, files)
}

/// Every acknowledged entry, or an error; never fewer, never different ones.
fn check(folder: &Path) -> io::Result<()> {
    let log = open(folder)?;
    assert_eq!(log.get(meta::VOTE)?.as_deref(), Some(b"a vote".as_slice()));
    let found = log.range(Bound::Unbounded, Bound::Unbounded)?;
    let expected: Vec<_> = (0..ENTRIES).map(|index| (index, value(index))).collect();
    assert!(found == expected, "{} entries, or not those that were written", found.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_nothing_is_lost() {
    let (_open, files) = killed().await;
    check(files.folder().path()).unwrap();
    // Also when the mark is missing, or its last write was lost.
    let folder = files.folder();
    fs::remove_file(folder.path().join(log_mark::FILE)).unwrap();
    check(folder.path()).unwrap();
    check(Files { mark: b"damaged".to_vec(), ..files }.folder().path()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_applied_once() {
    let (_open, files) = killed().await;
    let folder = files.folder();
    {
        let log = open(folder.path()).unwrap();
        assert_eq!(log.stored(), ENTRIES);
        write(&log, Change::TruncateFrom(ENTRIES - 5)).await.unwrap();
        append(&log, ENTRIES - 5).await;
        assert_eq!(log.stored(), ENTRIES - 5);
    }
    let log = again(folder.path());
    assert_eq!(log.last().unwrap().map(|(index, _)| index), Some(ENTRIES - 5));
}

/// Opens it once the previous writer has ended.
fn again(folder: &Path) -> LogDatabase {
    loop {
        match open(folder) {
            Ok(log) => return log,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_goes_into_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    let (mut index, mut stored) = (0, Vec::new());
    while stored.len() < 3 {
        append(&log, index).await;
        index += 1;
        let now = log.stored();
        if now > 0 && stored.last() != Some(&now) {
            assert_eq!(now, index, "what did not fit went along");
            stored.push(now);
        }
    }
    let files = Files::read(folder.path());
    let found = open(files.folder().path()).unwrap().range(Bound::Unbounded, Bound::Unbounded).unwrap();
    let expected: Vec<_> = (0..index).map(|index| (index, value(index))).collect();
    assert!(found == expected, "{} entries of {index}", found.len());
}

/// A panic of redb's own code on damage counts as a refusal: the process ends, and no client receives wrong data.
fn survives(files: &Files) -> Result<(), String> {
    let folder = files.folder();
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
    let (_open, files) = killed().await;
    let used = files.log.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut harmless, mut refused) = (0, 0);
    // The head byte by byte, the rest at steps that share no factor with a page.
    for offset in (0..400).chain((400..used).step_by(4001)) {
        let mut flipped = files.clone();
        flipped.log[offset] ^= 0x10;
        match survives(&flipped) {
            Ok(()) => harmless += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{harmless} harmless, {refused} refused");
    assert!(harmless > 0 && refused > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_journal_is_an_error_or_harmless() {
    let (_open, files) = killed().await;
    let used = files.journal.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for offset in (0..used).step_by(61) {
        let mut flipped = files.clone();
        flipped.journal[offset] ^= 0x10;
        refused += u32::from(survives(&flipped).is_err());
    }
    assert!(refused > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_an_error_or_harmless() {
    let (_open, files) = killed().await;
    let used = files.log.iter().rposition(|byte| *byte != 0).unwrap();
    for offset in (0..used).step_by(4096 * 3 + 511) {
        // Truncated, and with an unwritten sector.
        let mut torn = files.clone();
        torn.log.truncate(offset);
        assert!(survives(&torn).is_err(), "cut at {offset}");
        let mut torn = files.clone();
        let end = torn.log.len().min(offset + 512);
        torn.log[offset..end].fill(0);
        let _ = survives(&torn);
    }
    let used = files.journal.iter().rposition(|byte| *byte != 0).unwrap();
    for offset in (0..used).step_by(509) {
        let mut torn = files.clone();
        torn.journal.truncate(offset);
        assert!(survives(&torn).is_err(), "journal cut at {offset}");
        let mut torn = files.clone();
        torn.journal[offset..offset + 512].fill(0);
        let _ = survives(&torn);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_commits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    append(&log, 0).await;
    let before = Files::read(folder.path());
    append(&log, 1).await;
    let journaled = Files::read(folder.path());
    write(&log, Change::Set(meta::VOTE, b"a vote".to_vec())).await.unwrap();
    append(&log, 2).await;
    let after = Files::read(folder.path());
    let refused = |files: Files| {
        let error = open(files.folder().path()).err().unwrap().to_string();
        assert!(error.contains("has lost commits") && error.contains("hint:"), "{error}");
    };
    refused(Files { mark: journaled.mark, ..before.clone() });
    refused(Files { journal: before.journal.clone(), ..after.clone() });
    refused(Files { mark: after.mark.clone(), ..before.clone() });
    // Also when the number of durable commits is unknown.
    let unmarked = |mark: &[u8]| Files { log: before.log.clone(), journal: after.journal.clone(), mark: mark.to_vec() };
    refused(unmarked(b"damaged"));
    refused(unmarked(&after.mark));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_empty_or_different_log_is_refused() {
    let (_open, files) = killed().await;
    for beside in [log_mark::FILE, journal::FILE] {
        let gone = files.folder();
        fs::remove_file(gone.path().join("raft.redb")).unwrap();
        fs::remove_file(gone.path().join(beside)).unwrap();
        let error = open(gone.path()).err().unwrap().to_string();
        assert!(error.contains("raft.redb` is missing") && error.contains("disco node rm"), "{error}");
        assert!(!gone.path().join("raft.redb").exists(), "nothing is put in its place");
    }
    for other in [Vec::new(), killed().await.1.log] {
        let error = open(Files { log: other, ..files.clone() }.folder().path()).err().unwrap().to_string();
        assert!(error.contains("not the log that the node had"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_ids_and_checksums_is_upgraded() {
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
    // The first writer may still be ending.
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
