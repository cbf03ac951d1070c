//! Bytes from other nodes and from the disk, in the daemon's format: any bytes decode to a value or an error.

use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};
use proptest::prelude::*;

use super::codec::{decode, encode};
use super::types::{Entry, LogId, NodeInfo, Request, Response, SnapshotMeta, TypeConfig, Vote};

type Place = prop::sample::Index;

fn entry(index: u64, command: Vec<u8>) -> Entry {
    let leader = openraft::impls::leader_id_adv::LeaderId { term: 3, node_id: 2 };
    Entry::new(LogId::new(leader, index), EntryPayload::Normal(Request(command.into())))
}

/// Decodes the bytes as every type that the daemon reads in this format.
fn read_all(bytes: &[u8]) {
    let _ = decode::<Entry>(bytes);
    let _ = decode::<LogId>(bytes);
    let _ = decode::<Vote>(bytes);
    let _ = decode::<SnapshotMeta>(bytes);
    let _ = decode::<NodeInfo>(bytes);
    let _ = decode::<Response>(bytes);
    let _ = decode::<AppendEntriesRequest<TypeConfig>>(bytes);
    let _ = decode::<AppendEntriesResponse<TypeConfig>>(bytes);
    let _ = decode::<VoteRequest<TypeConfig>>(bytes);
    let _ = decode::<VoteResponse<TypeConfig>>(bytes);
    let _ = decode::<TransferLeaderRequest<TypeConfig>>(bytes);
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_written(index in any::<u64>(), command in prop::collection::vec(any::<u8>(), 0..300)) {
        let entry = entry(index, command);
        let read: Entry = decode(&encode(&entry).unwrap()).unwrap();
        prop_assert_eq!(read, entry);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_entries_are_values_or_errors(
        command in prop::collection::vec(any::<u8>(), 0..100),
        changes in prop::collection::vec((any::<Place>(), any::<u8>()), 1..6),
        cut in any::<Place>(),
    ) {
        let mut bytes = encode(&entry(7, command)).unwrap();
        read_all(&bytes[..cut.index(bytes.len())]);
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        read_all(&bytes);
    }
}

/// A claimed length is not trusted: an array of four thousand million elements, a byte string as long.
#[test]
fn claimed_lengths_take_no_memory() {
    for head in [0xdd_u8, 0xdf, 0xc6, 0xdb] {
        let mut bytes = vec![head, 0xff, 0xff, 0xff, 0xff];
        bytes.extend([0; 16]);
        read_all(&bytes);
    }
}
