//! Small writes that this node forwards to the leader: through one request for all of them, each answered when it is
//! done.
//!
//! A separate request for each of them costs the two nodes 0.1 ms of processor time, half of what everything else about
//! a write costs (docs/benchmarks.md).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use disco_proto::v1::{CommandResponse, ProposeRequest, ProposeResponse};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::{MemberClient, RemoteError};

/// Writes that may wait for the connection.
const QUEUE: usize = 64;
/// Larger writes use a separate request: others do not wait until it is sent, and it ends when its caller stops
/// waiting.
const SMALL_BYTES: usize = 16 * 1024;

/// The stream of writes to the leader.
#[derive(Default)]
pub struct WriteStream {
    open: Mutex<Option<Open>>,
}

/// An open request to one leader.
#[derive(Clone)]
struct Open {
    leader: u64,
    writes: mpsc::Sender<ProposeRequest>,
    waiting: Waiting,
    answering: AbortHandle,
}

/// The callers that wait for answers, by number.
#[derive(Clone, Default)]
struct Waiting {
    inner: Arc<Mutex<Numbered>>,
}

#[derive(Default)]
struct Numbered {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<ProposeResponse>>,
    /// Why no more answers will come.
    ended: Option<String>,
}

/// A caller's entry, removed when this is dropped.
struct Place {
    number: u64,
    answer: oneshot::Receiver<ProposeResponse>,
    waiting: Waiting,
}

// === impl WriteStream ===

impl WriteStream {
    /// Has the leader perform a write.
    ///
    /// # Errors
    /// Why it did not answer, `unavailable`: outcome unknown. Or its own refusal.
    pub async fn propose(
        &self,
        leader: u64,
        client: MemberClient,
        write: ProposeRequest,
    ) -> Result<CommandResponse, RemoteError> {
        let answer = if write.encoded_len() > SMALL_BYTES {
            client.into_inner().propose(write).await?.into_inner()
        } else {
            self.propose_small(leader, client, write).await.map_err(RemoteError::unavailable)?
        };
        let ProposeResponse { response, code, message, .. } = answer;
        response.ok_or_else(|| RemoteError { code, message, details: Bytes::new() })
    }

    async fn propose_small(
        &self,
        leader: u64,
        client: MemberClient,
        mut write: ProposeRequest,
    ) -> Result<ProposeResponse, String> {
        let open = self.open(leader, client);
        let place = open.waiting.place()?;
        write.number = place.number;
        // If the receiver is gone the entry has the reason.
        let _ = open.writes.send(write).await;
        place.answer().await
    }

    /// Abandons the open request to this leader; its callers get an error.
    pub fn close(&self, leader: u64, why: &str) {
        let closed = self.open.lock().take_if(|open| open.leader == leader);
        if let Some(open) = closed {
            open.waiting.end(why.to_owned());
            open.answering.abort();
        }
    }

    /// The open request to this leader, or a new one.
    fn open(&self, leader: u64, client: MemberClient) -> Open {
        let mut open = self.open.lock();
        if let Some(open) = open.as_ref()
            && open.leader == leader
            && !open.waiting.has_ended()
        {
            return open.clone();
        }
        let (writes, queue) = mpsc::channel(QUEUE);
        let waiting = Waiting::default();
        let waits = waiting.clone();
        let answering = tokio::spawn(async move {
            let why = answers(client, queue, &waits).await;
            waits.end(why);
        });
        let new = Open { leader, writes, waiting, answering: answering.abort_handle() };
        open.insert(new).clone()
    }
}

/// Passes answers to their callers until the stream ends, and returns why it ended.
async fn answers(client: MemberClient, queue: mpsc::Receiver<ProposeRequest>, waiting: &Waiting) -> String {
    let mut answers = match client.into_inner().propose_stream(ReceiverStream::new(queue)).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return disco_identity::describe(&status),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => waiting.answered(answer),
            Ok(None) => return "the leader accepts no more writes".to_owned(),
            Err(status) => return disco_identity::describe(&status),
        }
    }
}

// === impl Waiting ===

impl Waiting {
    fn place(&self) -> Result<Place, String> {
        let mut inner = self.inner.lock();
        if let Some(why) = &inner.ended {
            return Err(why.clone());
        }
        inner.last += 1;
        let number = inner.last;
        let (sender, answer) = oneshot::channel();
        inner.waiting.insert(number, sender);
        Ok(Place { number, answer, waiting: self.clone() })
    }

    fn answered(&self, answer: ProposeResponse) {
        let waits = self.inner.lock().waiting.remove(&answer.number);
        if let Some(sender) = waits {
            // The caller may have stopped waiting just now.
            let _ = sender.send(answer);
        }
    }

    fn end(&self, why: String) {
        let mut inner = self.inner.lock();
        inner.ended = Some(why);
        inner.waiting.clear();
    }

    fn has_ended(&self) -> bool {
        self.inner.lock().ended.is_some()
    }
}

// === impl Place ===

impl Place {
    async fn answer(mut self) -> Result<ProposeResponse, String> {
        match (&mut self.answer).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.waiting.inner.lock().ended.clone().unwrap_or_default()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.inner.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(number: u64) -> ProposeResponse {
        ProposeResponse { number, message: format!("of {number}"), ..ProposeResponse::default() }
    }

    #[tokio::test]
    async fn each_gets_its_own_answer_in_any_order() {
        let waiting = Waiting::default();
        let (first, second) = (waiting.place().unwrap(), waiting.place().unwrap());
        waiting.answered(answer(second.number));
        waiting.answered(answer(99));
        waiting.answered(answer(first.number));
        assert_eq!(first.answer().await.unwrap().message, "of 1");
        assert_eq!(second.answer().await.unwrap().message, "of 2");
    }

    #[tokio::test]
    async fn at_the_end_every_caller_learns_why() {
        let waiting = Waiting::default();
        let place = waiting.place().unwrap();
        waiting.end("it went".to_owned());
        assert_eq!(place.answer().await.unwrap_err(), "it went");
        assert_eq!(waiting.place().err().unwrap(), "it went");
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_nothing_behind() {
        let waiting = Waiting::default();
        drop(waiting.place().unwrap());
        assert!(waiting.inner.lock().waiting.is_empty());
        waiting.answered(answer(1));
    }
}
