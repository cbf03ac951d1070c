//! Every written record is read, or its loss is reported, whatever the file contains.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

const ID: Id = *b"the id of a log!";

fn batch(number: u64) -> Batch {
    let entry =
        |index| (index, Arc::from(vec![u8::try_from(index % 251).unwrap(); 5 + usize::try_from(index % 40).unwrap()]));
    let committed = number.is_multiple_of(2).then(|| number.to_le_bytes().to_vec());
    Batch { entries: (number * 3..number * 3 + 1 + number % 3).map(entry).collect(), committed }
}

/// A journal that was opened in an empty folder, and its path.
fn journal(folder: &tempfile::TempDir) -> (Journal, std::path::PathBuf) {
    let path = folder.path().join(FILE);
    (Journal::open(&path, ID, Space::new(folder.path().to_owned())).unwrap(), path)
}

/// Commits of this range, one record each.
fn written(commits: std::ops::Range<u64>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, path) = journal(&folder);
    for commit in commits {
        assert!(journal.append(commit, &batch(commit)).unwrap());
    }
    std::fs::read(path).unwrap()
}

/// The numbers of the commits that are read; each must be the written one.
fn commits(bytes: &[u8], after: u64) -> io::Result<Vec<u64>> {
    let records = decode(bytes, &ID, after)?;
    for record in &records {
        assert_eq!(record.batch, batch(record.commit));
    }
    Ok(records.iter().map(|record| record.commit).collect())
}

#[test]
fn records_after_the_databases_commit_are_read() {
    let bytes = written(5..9);
    assert_eq!(bytes.len(), BYTES);
    assert_eq!(commits(&bytes, 4).unwrap(), [5, 6, 7, 8]);
    assert_eq!(commits(&bytes, 6).unwrap(), [7, 8]);
    assert_eq!(commits(&bytes, 8).unwrap(), [0; 0]);
    assert_eq!(commits(&bytes, 20).unwrap(), [0; 0]);
    // Of another log, and of none.
    assert_eq!(decode(&bytes, b"another log's id", 4).unwrap(), []);
    assert_eq!(read(std::path::Path::new("/nowhere/at/all"), &ID, 4).unwrap(), []);
}

#[test]
fn the_file_is_overwritten_and_keeps_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, path) = journal(&folder);
    let mut commit = 0;
    while journal.append(commit + 1, &batch(commit + 1)).unwrap() {
        commit += 1;
    }
    assert!(commit > 1000, "{commit}");
    assert_eq!(read(&path, &ID, 0).unwrap().len(), usize::try_from(commit).unwrap());
    journal.restart();
    // Remains of the first pass are not taken for newer records.
    assert!(journal.append(commit + 1, &batch(commit + 1)).unwrap());
    assert_eq!(commits(&std::fs::read(&path).unwrap(), commit).unwrap(), [commit + 1]);
    let large = Batch { entries: vec![(1, Arc::from(vec![1; BYTES]))], committed: None };
    assert!(!journal.append(commit + 2, &large).unwrap());
    drop(journal);
    // Reopened, it is unchanged until something is written.
    let (mut journal, path) = self::journal(&folder);
    assert_eq!(commits(&std::fs::read(&path).unwrap(), commit).unwrap(), [commit + 1]);
    assert!(journal.append(commit + 2, &batch(commit + 2)).unwrap());
    assert_eq!(commits(&std::fs::read(&path).unwrap(), commit + 1).unwrap(), [commit + 2]);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), BYTES as u64);
}

#[test]
fn a_file_truncated_during_creation_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), [0; 100]).unwrap();
    let (_journal, path) = journal(&folder);
    assert_eq!(std::fs::read(path).unwrap(), vec![0; BYTES]);
}

#[test]
fn a_flipped_bit_is_detected_or_loses_only_the_last_record() {
    let bytes = written(5..9);
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut lost = 0;
    for bit in 0..used * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match commits(&flipped, 4) {
            Ok(all) if all == [5, 6, 7, 8] => {}
            // An unacknowledged record looks like this; the mark beside the log distinguishes them.
            Ok(all) => {
                assert_eq!(all, [5, 6, 7], "bit {bit}");
                lost += 1;
            }
            Err(error) => assert!(error.to_string().contains("hint:"), "{error}"),
        }
    }
    assert!(lost > 0 && lost < used * 8 / 2, "{lost} of {}", used * 8);
}

#[test]
fn a_journal_that_does_not_begin_where_the_database_ends_is_refused() {
    let error = commits(&written(5..9), 3).unwrap_err().to_string();
    assert!(error.contains("ends with commit 3, but its journal begins with 5"), "{error}");
    let mut bytes = written(5..9);
    let (second, end) = {
        let first = record_at(&bytes, 0, &ID).unwrap().1.next_multiple_of(ALIGN);
        (first, record_at(&bytes, first, &ID).unwrap().1)
    };
    bytes[second..end].fill(0);
    let error = commits(&bytes, 4).unwrap_err().to_string();
    assert!(error.contains("the journal is damaged: it contains commit 7, but not 6"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..400), commits in any::<u64>()) {
        prop_assert!(decode(&bytes, &ID, commits).is_ok_and(|records| records.is_empty()));
        let _ = Batch::decode(&bytes);
    }

    #[test]
    fn any_batch_comes_back(
        entries in vec((any::<u64>(), vec(any::<u8>(), 0..50)), 0..8),
        committed in option::of(vec(any::<u8>(), 1..20)),
    ) {
        let entries = entries.into_iter().map(|(index, bytes)| (index, Arc::from(bytes))).collect();
        let batch = Batch { entries, committed };
        let mut bytes = Vec::new();
        batch.encode(&mut bytes).unwrap();
        prop_assert_eq!(bytes.len(), batch.encoded_len());
        prop_assert_eq!(Batch::decode(&bytes), Some(batch));
    }
}
