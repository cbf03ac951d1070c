//! Remembered answers for repeated commands.
//!
//! A proposer without an answer cannot know whether its command was applied, so it retries with the same request id,
//! and gets the first answer. The newest answers are remembered, in the order in which they were applied, up to the
//! bounds of [`Limits`]: a command that is repeated after that many others is applied again.

use std::collections::{BTreeMap, VecDeque, btree_map::Entry};

use disco_proto::v1::{CommandResponse, TxnResponse, command_response, response_op};
use prost::Message;

use crate::Limits;

/// Identifies one command.
pub(crate) type RequestId = [u8; 16];

/// Ring of answers with an index. `index` holds exactly the ids of `ring`, each with its number; the oldest is `first`.
///
/// Every command is looked up by its id: ids are held as numbers, which compare in one step.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    ring: VecDeque<(RequestId, Box<[u8]>)>,
    index: BTreeMap<u128, u64>,
    first: u64,
    /// Total size of the encoded answers.
    bytes: usize,
}

impl Answers {
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Oldest first, encoded.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RequestId, &[u8])> {
        self.ring.iter().map(|(id, answer)| (id, &**answer))
    }

    pub(crate) fn get(&self, id: &[u8]) -> Option<CommandResponse> {
        let number = *self.index.get(&u128::from_be_bytes(id.try_into().ok()?))?;
        let (_, answer) = self.ring.get(usize::try_from(number - self.first).ok()?)?;
        Some(CommandResponse::decode(&**answer).expect("only what decodes is remembered"))
    }

    pub(crate) fn remember(&mut self, id: RequestId, response: &CommandResponse, limits: &Limits) {
        let encoded = if response.encoded_len() > limits.remembered_answer_bytes {
            without_pairs(response.clone()).encode_to_vec()
        } else {
            response.encode_to_vec()
        };
        self.insert(id, encoded.into_boxed_slice(), limits);
    }

    /// False if an answer for that id exists already.
    pub(crate) fn insert(&mut self, id: RequestId, answer: Box<[u8]>, limits: &Limits) -> bool {
        let Entry::Vacant(new) = self.index.entry(u128::from_be_bytes(id)) else { return false };
        new.insert(self.first + self.ring.len() as u64);
        self.bytes += answer.len();
        self.ring.push_back((id, answer));
        while self.ring.len() > limits.remembered_answers || self.bytes > limits.remembered_bytes {
            let Some((oldest, answer)) = self.ring.pop_front() else { break };
            self.index.remove(&u128::from_be_bytes(oldest));
            self.bytes -= answer.len();
            self.first += 1;
        }
        true
    }
}

/// The answer without its large parts: previous values are absent, ranges keep their count and are marked as
/// incomplete.
fn without_pairs(mut response: CommandResponse) -> CommandResponse {
    match &mut response.result {
        Some(command_response::Result::Put(put)) => put.prev_kv = None,
        Some(command_response::Result::DeleteRange(delete)) => delete.prev_kvs.clear(),
        Some(command_response::Result::Txn(txn)) => strip(txn),
        _ => (),
    }
    response
}

fn strip(txn: &mut TxnResponse) {
    for operation in &mut txn.responses {
        match &mut operation.response {
            Some(response_op::Response::Range(range)) => {
                range.more |= !range.kvs.is_empty();
                range.kvs.clear();
            }
            Some(response_op::Response::Put(put)) => put.prev_kv = None,
            Some(response_op::Response::DeleteRange(delete)) => delete.prev_kvs.clear(),
            Some(response_op::Response::Txn(nested)) => strip(nested),
            None => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use disco_proto::v1::{KeyValue, PutResponse};

    use super::*;

    fn answer(revision: i64, value: usize) -> CommandResponse {
        let prev_kv = Some(KeyValue { value: vec![7; value].into(), ..KeyValue::default() });
        let put = PutResponse { revision, prev_kv };
        CommandResponse { revision, result: Some(command_response::Result::Put(put)) }
    }

    #[test]
    fn the_oldest_go_first() {
        let limits = Limits { remembered_answers: 3, ..Limits::default() };
        let mut answers = Answers::default();
        for number in 1..=5_u8 {
            answers.remember([number; 16], &answer(number.into(), 0), &limits);
        }
        assert_eq!(answers.len(), 3);
        assert!(answers.get(&[2; 16]).is_none());
        assert_eq!(answers.get(&[3; 16]), Some(answer(3, 0)));
        assert_eq!(answers.get(&[5; 16]), Some(answer(5, 0)));
        assert!(answers.get(b"").is_none());
    }

    #[test]
    fn all_together_are_bounded() {
        let limits = Limits { remembered_bytes: 1_000, ..Limits::default() };
        let mut answers = Answers::default();
        for number in 0..100_u8 {
            answers.remember([number; 16], &answer(1, 300), &limits);
        }
        assert_eq!((answers.len(), answers.index.len()), (3, 3));
        assert!(answers.bytes <= 1_000 && answers.get(&[99; 16]).is_some());
    }

    #[test]
    fn large_answers_lose_their_pairs() {
        let limits = Limits::default();
        let mut answers = Answers::default();
        answers.remember([1; 16], &answer(9, 400), &limits);
        answers.remember([2; 16], &answer(9, 600), &limits);
        assert_eq!(answers.get(&[1; 16]), Some(answer(9, 400)));
        let Some(command_response::Result::Put(put)) = answers.get(&[2; 16]).unwrap().result else { panic!() };
        assert_eq!(put, PutResponse { revision: 9, prev_kv: None });
    }
}
