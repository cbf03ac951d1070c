//! The leader's side of a stream of entries to one follower.
//!
//! A request of its own for each message costs more than what is in it: headers, a queue, two wake-ups. So entries go through one
//! long request, and a few messages may be under way before the first of them is answered; more wait, and travel together then.
//! Messages without entries (heartbeats, and the probe before anything is known of a follower) are requests of their own.
//!
//! Invariants: answers come in the order of the messages; an error or a refusal is the last that the stream gives. An answer is
//! held back while a message that ends with the same entry is still under way, because openraft takes one answer for all of
//! these, and counts the follower as heard from since the last of them was sent; it would do so although nothing is known of that.

use std::collections::VecDeque;
use std::time::Duration;

use disco_proto::v1::RaftMessage;
use futures_util::stream::Fuse;
use futures_util::{Stream, StreamExt};
use openraft::RPCTypes;
use openraft::error::{NetworkError, RPCError};
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};
use openraft::{AnyError, RaftNetworkV2};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::codec;
use super::network::{Connection, Rpc, append_limit};
use super::types::{LogId, TypeConfig};

/// Messages that may be under way. While the follower writes one it gets the next, and the one that says what is committed by then;
/// the more there are, the fewer entries share a message and an fsync.
pub(super) const WINDOW: usize = 3;

type Request = AppendEntriesRequest<TypeConfig>;
type Answer = Result<StreamAppendResult<TypeConfig>, Rpc>;

/// Sends what comes from openraft.
pub(super) struct Appender<'s, S> {
    connection: &'s mut Connection,
    requests: Fuse<S>,
    option: RPCOption,
    open: Option<Open>,
    is_over: bool,
}

/// The request that entries go through.
struct Open {
    /// `None` when nothing more comes.
    messages: Option<mpsc::Sender<RaftMessage>>,
    answers: Streaming<RaftMessage>,
    under_way: VecDeque<UnderWay>,
    /// Since when nothing has happened although an answer is owed.
    waits_since: Instant,
}

/// What happens to an open request.
enum Event {
    /// From the follower; `None` when it has ended the request.
    Answer(Result<Option<RaftMessage>, Status>),
    /// From openraft; `None` when nothing more comes.
    Request(Option<Request>),
    /// The oldest message was not answered within this time.
    Late(Duration),
}

/// A message without its answer.
struct UnderWay {
    prev: Option<LogId>,
    last: Option<LogId>,
    limit: Duration,
}

// === impl Appender ===

impl<'s, S> Appender<'s, S>
where
    S: Stream<Item = Request> + Send + Unpin + 'static,
{
    pub(super) fn new(connection: &'s mut Connection, requests: S, option: RPCOption) -> Self {
        Self { connection, requests: requests.fuse(), option, open: None, is_over: false }
    }

    /// The answers, for as long as there are any.
    pub(super) fn answers(self) -> impl Stream<Item = Answer> + Send + 's {
        futures_util::stream::unfold(self, |mut appender| async move {
            let answer = appender.next().await?;
            Some((answer, appender))
        })
    }

    async fn next(&mut self) -> Option<Answer> {
        if self.is_over {
            return None;
        }
        let answer = self.advance().await;
        self.is_over = !matches!(answer, Some(Ok(Ok(_))));
        answer
    }

    async fn advance(&mut self) -> Option<Answer> {
        loop {
            let Some(open) = &mut self.open else {
                let request = self.requests.next().await?;
                match self.begin(request).await {
                    Some(answer) => return Some(answer),
                    None => continue,
                }
            };
            match open.next(&mut self.requests).await {
                Event::Answer(Ok(Some(message))) => match open.answered(&message) {
                    Some(answer) => return Some(answer),
                    None => continue,
                },
                Event::Answer(Ok(None)) if open.under_way.is_empty() => self.open = None,
                Event::Answer(Ok(None)) => return Some(Err(broken("it ended before everything was answered"))),
                Event::Answer(Err(status)) => return Some(Err(self.connection.failed(&status))),
                Event::Request(Some(request)) => {
                    let sent = self
                        .connection
                        .message(&request)
                        .and_then(|message| open.send(message, UnderWay::new(&request, &self.option)));
                    if let Err(error) = sent {
                        return Some(Err(error));
                    }
                }
                Event::Request(None) if open.under_way.is_empty() => return None,
                Event::Request(None) => open.messages = None,
                Event::Late(limit) => return Some(Err(self.connection.timeout(RPCTypes::AppendEntries, limit))),
            }
        }
    }

    /// Opens the request with its first message, or gives the answer where there is none to open.
    async fn begin(&mut self, request: Request) -> Option<Answer> {
        if request.entries.is_empty() || !self.connection.streams {
            return Some(self.append_alone(request).await);
        }
        let message = match self.connection.message(&request) {
            Ok(message) => message,
            Err(error) => return Some(Err(error)),
        };
        match Open::new(self.connection, message, UnderWay::new(&request, &self.option)).await {
            Ok(open) => {
                self.open = Some(open);
                None
            }
            Err(status) if status.code() == Code::Unimplemented => {
                self.connection.streams = false;
                Some(self.append_alone(request).await)
            }
            Err(status) => Some(Err(self.connection.failed(&status))),
        }
    }

    /// The message as a request of its own.
    async fn append_alone(&mut self, request: Request) -> Answer {
        let (prev, last) = ends(&request);
        let answer = self.connection.append_entries(request, self.option.clone()).await?;
        result(answer, prev, last)
    }
}

// === impl Open ===

impl Open {
    /// The first message goes with the request itself, so that both make one round trip.
    async fn new(connection: &Connection, message: RaftMessage, first: UnderWay) -> Result<Self, Status> {
        let (messages, receiver) = mpsc::channel(WINDOW);
        messages.try_send(message).map_err(|_| Status::internal("a new channel has no room"))?;
        let limit = first.limit;
        let call = async { connection.client().append_stream(ReceiverStream::new(receiver)).await };
        let answers = tokio::time::timeout(limit, call).await;
        let answers = answers.map_err(|_| Status::deadline_exceeded(format!("no answer within {limit:?}")))??;
        let under_way = VecDeque::from([first]);
        Ok(Self { messages: Some(messages), answers: answers.into_inner(), under_way, waits_since: Instant::now() })
    }

    async fn next(&mut self, requests: &mut (impl Stream<Item = Request> + Unpin)) -> Event {
        let (limit, deadline) = (self.limit(), self.waits_since + self.limit());
        let (owes, takes_more) = (!self.under_way.is_empty(), self.takes_more());
        tokio::select! {
            biased;
            answer = self.answers.message() => Event::Answer(answer),
            request = requests.next(), if takes_more => Event::Request(request),
            () = tokio::time::sleep_until(deadline), if owes => Event::Late(limit),
        }
    }

    /// What the answer to the oldest message says, unless it is held back.
    fn answered(&mut self, message: &RaftMessage) -> Option<Answer> {
        let Some(oldest) = self.under_way.pop_front() else {
            return Some(Err(broken("an answer that nobody has asked for")));
        };
        self.waits_since = Instant::now();
        let answer = oldest.read(message);
        let is_held_back =
            matches!(answer, Ok(Ok(_))) && self.under_way.front().is_some_and(|next| next.last == oldest.last);
        (!is_held_back).then_some(answer)
    }

    fn takes_more(&self) -> bool {
        self.messages.is_some() && self.under_way.len() < WINDOW
    }

    /// How long the oldest answer may take, from the last sign of life on.
    fn limit(&self) -> Duration {
        self.under_way.front().map_or(Duration::ZERO, |first| first.limit)
    }

    fn send(&mut self, message: RaftMessage, under_way: UnderWay) -> Result<(), Rpc> {
        if self.under_way.is_empty() {
            self.waits_since = Instant::now();
        }
        // There is room for as many as may be under way; what came of a broken one says the stream of answers.
        if let Some(messages) = &self.messages
            && let Err(mpsc::error::TrySendError::Full(_)) = messages.try_send(message)
        {
            return Err(broken("more messages than the window has room for"));
        }
        self.under_way.push_back(under_way);
        Ok(())
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn new(request: &Request, option: &RPCOption) -> Self {
        let (prev, last) = ends(request);
        Self { prev, last, limit: append_limit(request, option) }
    }

    fn read(&self, message: &RaftMessage) -> Answer {
        let answer = codec::decode(&message.payload).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        result(answer, self.prev, self.last)
    }
}

/// The entry before those of the message, and the last of them.
fn ends(request: &Request) -> (Option<LogId>, Option<LogId>) {
    use openraft::entry::RaftEntry;
    (request.prev_log_id, request.entries.last().map(RaftEntry::log_id).or(request.prev_log_id))
}

fn result(answer: AppendEntriesResponse<TypeConfig>, prev: Option<LogId>, last: Option<LogId>) -> Answer {
    if answer.is_conflict() && prev.is_none() {
        return Err(broken("a follower refused what follows on nothing"));
    }
    Ok(answer.into_stream_result(prev, last))
}

fn broken(what: &str) -> Rpc {
    RPCError::Network(NetworkError::new(&AnyError::error(format!("the stream of entries: {what}"))))
}
