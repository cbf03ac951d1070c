//! Any bytes from outside get an answer, and take no more memory than their size suggests.

use disco_proto::v1::Command;
use disco_store::{Limits, Store, validate};
use proptest::prelude::*;
use prost::Message;

use crate::{common::snapshot, generate};

/// A valid message with a few bytes changed, inserted, or removed.
fn mutated(bytes: Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes;
    for (place, how, byte) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = place.index(bytes.len());
        match how % 4 {
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..8)
}

/// Applies the bytes as the state machine does. The store stays within its limits and can be read back.
fn apply(store: &mut Store, term: u64, bytes: &[u8]) {
    let Ok(command) = Command::decode(bytes) else { return };
    let limits = *store.limits();
    let (size, revision) = (store.size_bytes(), store.revision());
    let valid = validate(&command, &limits).is_ok();
    let applied = store.apply(term, &command);
    assert!(store.revision() >= revision && store.revision() <= revision + 1);
    if !valid {
        assert!(applied.events.is_empty(), "a command that is not valid changed something: {command:?}");
        assert_eq!(store.size_bytes(), size);
    }
    assert!(store.size_bytes() <= limits.quota_bytes + limits.reserve_bytes + limits.command_bytes as u64);
}

proptest! {
    #[test]
    fn any_bytes_are_a_command_or_none(bytes in prop::collection::vec(any::<u8>(), 0..512), term in any::<u64>()) {
        apply(&mut Store::default(), term, &bytes);
    }

    #[test]
    fn damaged_commands_keep_the_rules(
        before in generate::commands(),
        damaged in generate::commands(),
        changes in changes(),
    ) {
        let mut store = Store::default();
        for command in &before {
            store.apply(1, command);
        }
        for command in &damaged {
            apply(&mut store, 1, &mutated(command.encode_to_vec(), &changes));
        }
        let bytes = snapshot(&store);
        let copy = Store::decode_snapshot(Limits::default(), &*bytes).unwrap();
        prop_assert!(snapshot(&copy) == bytes);
    }

    #[test]
    fn any_bytes_are_a_snapshot_or_none(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(Store::decode_snapshot(Limits::default(), &*bytes).is_err());
    }

    #[test]
    fn damaged_snapshots_are_refused_or_sound(commands in generate::commands(), changes in changes()) {
        let mut store = Store::default();
        for command in &commands {
            store.apply(1, command);
        }
        let whole = snapshot(&store);
        let bytes = mutated(whole.clone(), &changes);
        if let Ok(read) = Store::decode_snapshot(Limits::default(), &*bytes) {
            prop_assert!(snapshot(&read) == whole, "damage went unnoticed");
        }
    }
}
