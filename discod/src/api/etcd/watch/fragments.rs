//! Large answers in parts, for clients that request them.

use disco_proto::etcdserverpb::WatchResponse;
use prost::Message;

use crate::api::etcd::MAX_REQUEST_BYTES;

/// Splits the answer into parts that are no larger than a request may be, unless one event alone is larger. All but the
/// last are marked as fragments.
pub(super) fn fragments(mut answer: WatchResponse) -> Vec<WatchResponse> {
    if answer.events.len() < 2 || answer.encoded_len() < MAX_REQUEST_BYTES {
        return vec![answer];
    }
    let events = std::mem::take(&mut answer.events);
    let empty = answer.encoded_len();
    let mut parts: Vec<WatchResponse> = Vec::new();
    let mut size = MAX_REQUEST_BYTES;
    for event in events {
        // With its tag and length.
        let bytes = event.encoded_len() + 8;
        match parts.last_mut() {
            Some(part) if size + bytes < MAX_REQUEST_BYTES => {
                part.events.push(event);
                size += bytes;
            }
            _ => {
                parts.push(WatchResponse { events: vec![event], fragment: true, ..answer.clone() });
                size = empty + bytes;
            }
        }
    }
    if let Some(last) = parts.last_mut() {
        last.fragment = false;
    }
    parts
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{Event, KeyValue};

    use super::*;

    fn answer(sizes: &[usize]) -> WatchResponse {
        let event = |(number, size): (usize, &usize)| Event {
            kv: Some(KeyValue { value: vec![7; *size].into(), mod_revision: number as i64, ..KeyValue::default() }),
            ..Event::default()
        };
        WatchResponse { watch_id: 5, events: sizes.iter().enumerate().map(event).collect(), ..WatchResponse::default() }
    }

    #[test]
    fn parts_are_small_and_in_order() {
        let parts = fragments(answer(&[900 << 10; 7]));
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.encoded_len() < MAX_REQUEST_BYTES && part.watch_id == 5));
        assert_eq!(parts.iter().map(|part| part.fragment).collect::<Vec<_>>(), [true, true, true, false]);
        let order: Vec<i64> =
            parts.iter().flat_map(|part| &part.events).map(|event| event.kv.as_ref().unwrap().mod_revision).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_small_or_indivisible_answer_stays_whole() {
        assert_eq!(fragments(answer(&[10, 10])), [answer(&[10, 10])]);
        assert_eq!(fragments(answer(&[3 << 20])), [answer(&[3 << 20])]);
        let parts = fragments(answer(&[3 << 20, 10]));
        assert_eq!(
            parts.iter().map(|part| (part.events.len(), part.fragment)).collect::<Vec<_>>(),
            [(1, true), (1, false)]
        );
    }
}
