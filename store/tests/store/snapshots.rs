//! Snapshots contain the whole state, are identical for the same log, and no bytes crash a reader.

use disco_proto::v1::Command;
use disco_store::{Limits, Store};
use proptest::prelude::*;

use crate::{common::snapshot, generate};

fn store_of(commands: &[Command]) -> Store {
    let mut store = Store::default();
    for command in commands {
        store.apply(1, command);
    }
    store
}

proptest! {
    /// A decoded store behaves identically from then on.
    #[test]
    fn what_is_read_is_what_was_written(before in generate::commands(), after in generate::commands()) {
        let mut store = store_of(&before);
        let bytes = snapshot(&store);
        let mut copy = Store::decode_snapshot(Limits::default(), &*bytes).unwrap();
        prop_assert!(snapshot(&copy) == bytes);
        prop_assert_eq!(format!("{copy:?}"), format!("{store:?}"));
        for command in &after {
            prop_assert_eq!(copy.apply(1, command), store.apply(1, command));
        }
        prop_assert!(snapshot(&copy) == snapshot(&store));
        for from in store.compact_revision().max(1)..=store.revision() {
            prop_assert_eq!(copy.history(from, b"\0", b"\0", usize::MAX), store.history(from, b"\0", b"\0", usize::MAX));
        }
    }

    #[test]
    fn the_same_commands_make_the_same_bytes(commands in generate::commands()) {
        let (one, other) = (store_of(&commands), store_of(&commands));
        prop_assert!(snapshot(&one) == snapshot(&other));
        prop_assert_eq!(one.hash(), other.hash());
        for revision in one.compact_revision().max(1)..=one.revision() {
            prop_assert_eq!(one.hash_kv(revision), other.hash_kv(revision));
        }
    }

    #[test]
    fn damage_is_an_error(
        commands in generate::commands(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = snapshot(&store_of(&commands));
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= flip;
        prop_assert!(Store::decode_snapshot(Limits::default(), &*flipped).is_err());
        prop_assert!(Store::decode_snapshot(Limits::default(), &bytes[..cut.index(bytes.len())]).is_err());
    }

    /// Damage with a corrected checksum: an error, or a store that satisfies its invariants.
    #[test]
    fn forged_snapshots_give_sound_stores(
        commands in generate::commands(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        after in generate::commands(),
    ) {
        let mut bytes = snapshot(&store_of(&commands));
        let end = bytes.len() - 4;
        for (at, byte) in damage {
            bytes[at.index(end)] = byte;
        }
        let sum = crc32fast::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.to_le_bytes());
        if let Ok(mut store) = Store::decode_snapshot(Limits::default(), &*bytes) {
            for command in &after {
                store.apply(1, command);
            }
            Store::decode_snapshot(Limits::default(), &*snapshot(&store)).unwrap();
        }
    }

    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2_000), headed in any::<bool>()) {
        let mut bytes = bytes;
        if headed {
            bytes.splice(..0, snapshot(&Store::default())[..12].to_vec());
        }
        prop_assert!(Store::decode_snapshot(Limits::default(), &*bytes).is_err());
    }
}
