//! Disco's own records: written and read, compared, forward-compatible, and the ring of events.

use disco_proto::v1::RangeRequest;
use disco_store::{
    Store, prefix_end,
    typed::{self, EventRecord, MachineRecord, NodeRecord, RecordError, Severity, Txn, events, keys},
};

use crate::common::{command, put};

fn write(store: &mut Store, txn: Txn) -> bool {
    typed::succeeded(&store.apply(1, &command(txn.operation())).response)
}

fn node(id: u64, name: &str) -> NodeRecord {
    NodeRecord { id, name: name.to_owned(), ..NodeRecord::default() }
}

#[test]
fn records_are_written_once_and_changed_by_revision() {
    let mut store = Store::default();
    assert_eq!(typed::get::<NodeRecord>(&store, &keys::node(1)).unwrap(), None);
    let create = |name| Txn::new().absent(&keys::node(1)).put(&keys::node(1), &node(1, name));
    assert!(write(&mut store, create("a")));
    assert!(!write(&mut store, create("b")), "there is one already");
    let found = typed::get::<NodeRecord>(&store, &keys::node(1)).unwrap().unwrap();
    assert_eq!((found.value, found.revision), (node(1, "a"), 2));

    let change = |name| Txn::new().expect(&keys::node(1), 2).put(&keys::node(1), &node(1, name));
    assert!(write(&mut store, change("c")));
    assert!(!write(&mut store, change("d")), "it was changed meanwhile");
    let remove = Txn::new().delete(&keys::node(1));
    assert!(!remove.is_empty() && Txn::new().is_empty());
    assert!(write(&mut store, remove));
    assert_eq!(typed::get::<NodeRecord>(&store, &keys::node(1)).unwrap(), None);
}

#[test]
fn records_of_other_versions_can_be_read() {
    let mut store = Store::default();
    let mut write = |key: &str, value| {
        store.apply(1, &command(disco_proto::v1::command::Operation::Put(put(key, value))));
    };
    write(&keys::machine("t1"), r#"{"token":"t1","state":"hibernating","zone":"b","id":"i-1"}"#);
    write(&keys::machine("t2"), r#"{"token":2}"#);
    write(&keys::machine("t3"), r"{}");
    let records = typed::list::<MachineRecord>(&store, keys::MACHINES);
    let known = records[0].as_ref().unwrap();
    assert_eq!((&*known.value.state, &*known.value.name), ("hibernating", ""));
    let RecordError::Decode { key, .. } = records[1].as_ref().unwrap_err();
    assert_eq!(key, "/disco/instances/t2");
    assert_eq!(records[2].as_ref().unwrap().value, MachineRecord::default());
}

#[test]
fn events_are_a_ring() {
    let mut store = Store::default();
    let event = |id| EventRecord {
        id,
        time: "2026-01-01T00:00:00Z".into(),
        kind: "node.joined".into(),
        severity: Severity::Info,
        node: Some(3),
        message: format!("event {id}"),
        data: None,
    };
    let rival = events::append(&store, Txn::new(), event).unwrap();
    for _ in 0..events::KEPT + 5 {
        let txn = events::append(&store, Txn::new(), event).unwrap();
        assert!(write(&mut store, txn));
    }
    assert!(!write(&mut store, rival), "another event came first");

    let kept = typed::list::<EventRecord>(&store, keys::EVENTS);
    assert_eq!(kept.len() as u64, events::KEPT);
    assert_eq!(kept[0].as_ref().unwrap().value, event(6));
    assert_eq!(kept.last().unwrap().as_ref().unwrap().value, event(events::KEPT + 5));
    let request = RangeRequest {
        key: keys::EVENTS.into(),
        range_end: prefix_end(keys::EVENTS.as_bytes()).into(),
        limit: 1,
        ..RangeRequest::default()
    };
    let text = String::from_utf8(store.range(&request).unwrap().kvs[0].value.to_vec()).unwrap();
    assert_eq!(
        text,
        r#"{"id":6,"time":"2026-01-01T00:00:00Z","kind":"node.joined","severity":"info","node":3,"message":"event 6","data":null}"#
    );
}
