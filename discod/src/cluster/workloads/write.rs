//! Writing changes of records, with the events that report them.

use bytes::Bytes;
use disco_store::typed::{Txn, events};

use crate::node::WriteError;
use crate::records::{EventRecord, Records, succeeded};

/// Records and events in one transaction: each is a comparison and a write, of which a transaction may have 128 each, and the
/// ring of events needs further ones.
const MOST: usize = 48;
/// Bytes of records in one transaction, below the store's limit for a command.
const MOST_BYTES: usize = 1 << 20;
/// Operations and bytes of a change that is written as one transaction or not at all: what the store allows, less the comparisons
/// in the bytes.
const ONE: usize = 128;
const ONE_BYTES: usize = 1_400 << 10;

/// A record to write or to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: String,
    /// The revision at which it was read, 0: it did not exist. `None`: whatever it is now.
    pub revision: Option<i64>,
    /// Its JSON; `None`: it is deleted.
    pub value: Option<Bytes>,
}

/// An event, and the key of the record whose change it reports: both are written together.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// The record's key.
    pub key: String,
    /// The event, without number and time.
    pub event: EventRecord,
}

/// A part of the changes that is written together.
#[derive(Default)]
struct Part {
    changes: Vec<Change>,
    events: Vec<EventRecord>,
    bytes: usize,
}

/// Writes all changes, in transactions of bounded size, in their order. False: another writer has changed one of the records
/// meanwhile, and the rest was not written.
///
/// # Errors
/// See [`WriteError`].
pub async fn commit(records: &impl Records, changes: Vec<Change>, news: Vec<News>) -> Result<bool, WriteError> {
    for part in parts(changes, news) {
        if !write(records, part).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The same in one transaction. See [`fits`].
///
/// # Errors
/// See [`WriteError`].
pub async fn commit_one(records: &impl Records, changes: Vec<Change>, news: Vec<News>) -> Result<bool, WriteError> {
    let events = news.into_iter().map(|news| news.event).collect();
    write(records, Part { changes, events, bytes: 0 }).await
}

async fn write(records: &impl Records, part: Part) -> Result<bool, WriteError> {
    let mut txn = Txn::new();
    for change in part.changes {
        if let Some(revision) = change.revision {
            txn = txn.expect(&change.key, revision);
        }
        txn = match change.value {
            Some(value) => txn.put_bytes(&change.key, value),
            None => txn.delete(&change.key),
        };
    }
    let time = crate::clock::rfc3339();
    let mut waiting = part.events.iter();
    let count = part.events.len() as u64;
    let numbered = |id| waiting.next().map(|event| EventRecord { id, time: time.clone(), ..event.clone() });
    let txn = match records.read(|store| events::append_all(store, txn.clone(), count, numbered)) {
        Ok(with_events) => with_events,
        // A counter that cannot be read must not stop everything else.
        Err(error) => {
            tracing::error!(%error, "could not record events");
            txn
        }
    };
    if !succeeded(&records.write(txn.operation()).await?) {
        return Ok(false);
    }
    part.events.iter().for_each(crate::records::log_event);
    Ok(true)
}

/// Whether all changes fit into one transaction.
///
/// # Errors
/// Why not.
pub fn fits(changes: &[Change], news: &[News]) -> Result<(), String> {
    // Each event may take the place of an old one, and their counter is written as well.
    let count = changes.len() + 2 * news.len() + 1;
    if count > ONE {
        return Err(format!("the change writes {count} records at once; at most {ONE} are possible"));
    }
    let size = |change: &Change| change.key.len() + change.value.as_ref().map_or(0, Bytes::len);
    let bytes: usize = changes.iter().map(size).sum();
    let Some(largest) = changes.iter().max_by_key(|change| size(change)).filter(|_| bytes > ONE_BYTES) else {
        return Ok(());
    };
    let record = largest.value.as_ref().and_then(|value| serde_json::from_slice::<serde_json::Value>(value).ok());
    let service = record.and_then(|record| Some(record.get("service")?.as_str()?.to_owned()));
    let service = service.map_or_else(|| format!("record `{}`", largest.key), |name| format!("service `{name}`"));
    let [all, most, its] = [bytes, ONE_BYTES, size(largest)].map(|bytes| bytes.div_ceil(1 << 10));
    Err(format!("the change has {all} KiB; at most {most} KiB are possible, and {service} alone has {its} KiB"))
}

fn parts(changes: Vec<Change>, mut news: Vec<News>) -> Vec<Part> {
    let mut parts = vec![Part::default()];
    for change in changes {
        let own: Vec<News> = news.extract_if(.., |news| news.key == change.key).collect();
        let bytes = change.key.len() + change.value.as_ref().map_or(0, Bytes::len);
        let full = parts.last().is_none_or(|part| {
            let count = part.changes.len() + part.events.len() + own.len() + 1;
            !part.changes.is_empty() && (count > MOST || part.bytes + bytes > MOST_BYTES)
        });
        if full {
            parts.push(Part::default());
        }
        if let Some(part) = parts.last_mut() {
            part.changes.push(change);
            part.events.extend(own.into_iter().map(|news| news.event));
            part.bytes += bytes;
        }
    }
    // Events whose record another event's change has already written.
    if let Some(part) = parts.last_mut() {
        part.events.extend(news.into_iter().take(MOST).map(|news| news.event));
    }
    parts.retain(|part| !part.changes.is_empty() || !part.events.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{FakeRecords, Severity, event, keys};

    fn change(key: &str, revision: i64) -> Change {
        Change { key: key.to_owned(), revision: Some(revision), value: Some(Bytes::from_static(b"1")) }
    }

    #[tokio::test]
    async fn changes_and_their_events_are_written_in_parts_of_bounded_size() {
        let records = FakeRecords::default();
        let changes: Vec<Change> = (0..150).map(|n| change(&format!("/disco/x/{n:03}"), 0)).collect();
        let news = |n: usize| News {
            key: changes[n].key.clone(),
            event: event("task.failed", Severity::Warning, None, n.to_string()),
        };
        let news: Vec<News> = (0..150).step_by(2).map(news).collect();
        assert!(commit(&records, changes.clone(), news).await.unwrap());
        assert_eq!(records.get::<u64>(&changes[149].key), Some(1));
        assert_eq!(records.get::<u64>(keys::NEXT_EVENT), Some(76));
        assert_eq!(records.get::<EventRecord>(&keys::event(75)).unwrap().message, "148");
    }

    #[tokio::test]
    async fn one_transaction_has_as_many_records_as_the_store_allows() {
        let records = FakeRecords::default();
        records.put(keys::NEXT_EVENT, &5_000_000_u64);
        let changes: Vec<Change> = (0..121).map(|n| change(&format!("/disco/x/{n:03}"), 0)).collect();
        let of = |n: usize| News {
            key: changes[n].key.clone(),
            event: event("task.failed", Severity::Warning, None, n.to_string()),
        };
        let news = vec![of(1), of(2), of(3)];
        assert_eq!(fits(&changes, &news), Ok(()));
        assert!(commit_one(&records, changes.clone(), news).await.unwrap());
        assert_eq!(records.get::<u64>(&changes[120].key), Some(1));
        let error = fits(&[changes.as_slice(), changes.as_slice()].concat(), &[]).unwrap_err();
        assert!(error.contains("at most 128"), "{error}");
        let value = format!("{{\"service\":\"web\",\"x\":\"{}\"}}", "x".repeat(2 << 20));
        let large = Change { value: Some(value.into()), ..changes[0].clone() };
        let error = fits(&[large], &[]).unwrap_err();
        assert_eq!(
            error,
            "the change has 2049 KiB; at most 1400 KiB are possible, and service `web` alone has 2049 KiB"
        );
    }

    #[tokio::test]
    async fn a_record_that_another_writer_has_changed_stops_the_rest() {
        let records = FakeRecords::default();
        records.put("/disco/x/1", &2_u64);
        let two = vec![change("/disco/x/0", 0), change("/disco/x/1", 0)];
        assert!(!commit(&records, two, Vec::new()).await.unwrap());
        assert_eq!(records.get::<u64>("/disco/x/0"), None);
    }
}
