//! The leader's side of a stream of entries to one follower, independent of the transport.
//!
//! A separate request for each message costs more than its content: headers, a queue, two wake-ups. So entries go
//! through one long request, and a few messages may be sent before the first of them is answered; further ones wait,
//! and are then sent together. Messages without entries (heartbeats, and the probe of an unknown follower) go through
//! [`RaftNetworkV2::append_entries`].
//!
//! Invariants: answers come in the order of the messages; an error or a refusal is the last item of the stream. An
//! answer is held back while a message that ends with the same entry is still unanswered, because openraft takes one
//! answer for all of these, and counts the follower as alive since the last of them was sent; it would do so without
//! evidence.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::Fuse;
use futures_util::{Stream, StreamExt};
use openraft::alias::LogIdOf;
use openraft::base::{BoxFuture, BoxStream};
use openraft::entry::RaftEntry;
use openraft::error::{NetworkError, RPCError};
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};
use openraft::{AnyError, RaftNetworkV2, RaftTypeConfig};
use tokio::time::Instant;

/// Unanswered messages at a time. While the follower writes one it gets the next, and the one with the newest committed
/// index; the more there are, the fewer entries share a message and an fsync.
pub const WINDOW: usize = 3;

/// Entries may be unanswered for this many heartbeat intervals, as an fsync is part of it.
pub const ROUND_TRIPS: u32 = 4;

type Answer<C> = Result<StreamAppendResult<C>, RPCError<C>>;
/// The stream returned by [`RaftNetworkV2::stream_append`].
pub type Answers<'s, C> = BoxFuture<'s, Result<BoxStream<'s, Answer<C>>, RPCError<C>>>;

/// The connection to a follower, beyond what openraft requires of it.
pub trait Link<C: RaftTypeConfig>: RaftNetworkV2<C> {
    /// A request that carries many messages.
    type Call: Call<C>;

    /// Whether the follower supports such requests, as far as known.
    fn takes_streams(&self) -> bool;

    /// Time limit for the answer to a message.
    fn limit(&self, message: &AppendEntriesRequest<C>, option: &RPCOption) -> Duration;

    /// The error for a message that was not answered within that time.
    fn late(&self, limit: Duration) -> RPCError<C>;

    /// Opens a request together with its first message; `None` if the follower does not support it, and from then on
    /// [`Self::takes_streams`] is false.
    fn open(
        &mut self,
        first: &AppendEntriesRequest<C>,
        limit: Duration,
    ) -> impl Future<Output = Result<Option<Self::Call>, RPCError<C>>> + Send;
}

/// A request that carries many messages. Dropping it cancels it.
pub trait Call<C: RaftTypeConfig>: Send {
    /// Sends a message without waiting: there is space for [`WINDOW`] of them. The answers report why a request broke.
    fn send(&mut self, message: &AppendEntriesRequest<C>) -> Result<(), RPCError<C>>;

    /// Signals that no more messages follow.
    fn finish(&mut self);

    /// The next answer; `None` once the follower has ended the request. Cancel-safe.
    fn answer(&mut self) -> impl Future<Output = Result<Option<AppendEntriesResponse<C>>, RPCError<C>>> + Send;
}

/// Sends openraft's messages over the link, and returns the answers: [`RaftNetworkV2::stream_append`].
pub fn stream<'s, C, L, S>(link: &'s mut L, messages: S, option: RPCOption) -> Answers<'s, C>
where
    C: RaftTypeConfig,
    L: Link<C>,
    S: Stream<Item = AppendEntriesRequest<C>> + Send + Unpin + 'static,
{
    let answers: BoxStream<'s, _> = Box::pin(Appender::new(link, messages, option).answers());
    Box::pin(std::future::ready(Ok(answers)))
}

/// Sends openraft's messages.
struct Appender<'s, C: RaftTypeConfig, L: Link<C>, S> {
    link: &'s mut L,
    messages: Fuse<S>,
    option: RPCOption,
    open: Option<Open<C, L::Call>>,
    is_over: bool,
}

/// The open request for entries.
struct Open<C: RaftTypeConfig, R> {
    call: R,
    is_finished: bool,
    under_way: VecDeque<UnderWay<C>>,
    /// Start of the wait for an outstanding answer.
    waits_since: Instant,
}

/// An event of an open request.
enum Event<C: RaftTypeConfig> {
    /// From the follower; `None` once it has ended the request.
    Answer(Result<Option<AppendEntriesResponse<C>>, RPCError<C>>),
    /// From openraft; `None` once no more messages follow.
    Message(Option<AppendEntriesRequest<C>>),
    /// The oldest message was not answered within this time.
    Late(Duration),
}

/// A message without its answer.
struct UnderWay<C: RaftTypeConfig> {
    prev: Option<LogIdOf<C>>,
    last: Option<LogIdOf<C>>,
    limit: Duration,
}

// === impl Appender ===

impl<'s, C, L, S> Appender<'s, C, L, S>
where
    C: RaftTypeConfig,
    L: Link<C>,
    S: Stream<Item = AppendEntriesRequest<C>> + Send + Unpin + 'static,
{
    fn new(link: &'s mut L, messages: S, option: RPCOption) -> Self {
        Self { link, messages: messages.fuse(), option, open: None, is_over: false }
    }

    /// The answers, until the stream ends.
    fn answers(self) -> impl Stream<Item = Answer<C>> + Send + 's {
        futures_util::stream::unfold(self, |mut appender| async move {
            let answer = appender.next().await?;
            Some((answer, appender))
        })
    }

    async fn next(&mut self) -> Option<Answer<C>> {
        if self.is_over {
            return None;
        }
        let answer = self.advance().await;
        self.is_over = !matches!(answer, Some(Ok(Ok(_))));
        answer
    }

    async fn advance(&mut self) -> Option<Answer<C>> {
        loop {
            let Some(open) = &mut self.open else {
                let message = self.messages.next().await?;
                match self.begin(message).await {
                    Some(answer) => return Some(answer),
                    None => continue,
                }
            };
            if open.is_finished && open.under_way.is_empty() {
                // Not when the follower ends it: the follower may be gone, and openraft waits for the end to send
                // something else.
                return None;
            }
            match open.next(&mut self.messages).await {
                Event::Answer(Ok(Some(answer))) => match open.answered(answer) {
                    Some(answer) => return Some(answer),
                    None => continue,
                },
                Event::Answer(Ok(None)) if open.under_way.is_empty() => self.open = None,
                Event::Answer(Ok(None)) => return Some(Err(broken("it ended before every message was answered"))),
                Event::Answer(Err(error)) => return Some(Err(error)),
                Event::Message(Some(message)) => {
                    let limit = self.link.limit(&message, &self.option);
                    if let Err(error) = open.send(&message, limit) {
                        return Some(Err(error));
                    }
                }
                Event::Message(None) => {
                    open.is_finished = true;
                    open.call.finish();
                }
                Event::Late(limit) => return Some(Err(self.link.late(limit))),
            }
        }
    }

    /// Opens the request with its first message, or returns the answer if none can be opened.
    async fn begin(&mut self, message: AppendEntriesRequest<C>) -> Option<Answer<C>> {
        if message.entries.is_empty() || !self.link.takes_streams() {
            return Some(self.append_alone(message).await);
        }
        let limit = self.link.limit(&message, &self.option);
        match self.link.open(&message, limit).await {
            Ok(Some(call)) => {
                let under_way = VecDeque::from([UnderWay::new(&message, limit)]);
                self.open = Some(Open { call, is_finished: false, under_way, waits_since: Instant::now() });
                None
            }
            Ok(None) => Some(self.append_alone(message).await),
            Err(error) => Some(Err(error)),
        }
    }

    /// Sends the message as a separate request.
    async fn append_alone(&mut self, message: AppendEntriesRequest<C>) -> Answer<C> {
        let (prev, last) = ends(&message);
        let answer = self.link.append_entries(message, self.option.clone()).await?;
        result(answer, prev, last)
    }
}

// === impl Open ===

impl<C: RaftTypeConfig, R: Call<C>> Open<C, R> {
    async fn next(&mut self, messages: &mut (impl Stream<Item = AppendEntriesRequest<C>> + Unpin)) -> Event<C> {
        let (limit, deadline) = (self.limit(), self.waits_since + self.limit());
        let (owes, takes_more) = (!self.under_way.is_empty(), self.takes_more());
        tokio::select! {
            biased;
            answer = self.call.answer() => Event::Answer(answer),
            message = messages.next(), if takes_more => Event::Message(message),
            () = tokio::time::sleep_until(deadline), if owes => Event::Late(limit),
        }
    }

    /// The result of the answer to the oldest message, unless it is held back.
    fn answered(&mut self, answer: AppendEntriesResponse<C>) -> Option<Answer<C>> {
        let Some(oldest) = self.under_way.pop_front() else {
            return Some(Err(broken("an answer without a request")));
        };
        self.waits_since = Instant::now();
        let is_followed = self.under_way.front().is_some_and(|next| next.last == oldest.last);
        let answer = result(answer, oldest.prev, oldest.last);
        let is_held_back = matches!(answer, Ok(Ok(_))) && is_followed;
        (!is_held_back).then_some(answer)
    }

    fn takes_more(&self) -> bool {
        !self.is_finished && self.under_way.len() < WINDOW
    }

    /// Time limit of the oldest answer, from the last sign of life on.
    fn limit(&self) -> Duration {
        self.under_way.front().map_or(Duration::ZERO, |first| first.limit)
    }

    fn send(&mut self, message: &AppendEntriesRequest<C>, limit: Duration) -> Result<(), RPCError<C>> {
        if self.under_way.is_empty() {
            self.waits_since = Instant::now();
        }
        self.call.send(message)?;
        self.under_way.push_back(UnderWay::new(message, limit));
        Ok(())
    }
}

// === impl UnderWay ===

impl<C: RaftTypeConfig> UnderWay<C> {
    fn new(message: &AppendEntriesRequest<C>, limit: Duration) -> Self {
        let (prev, last) = ends(message);
        Self { prev, last, limit }
    }
}

/// The entry before those of the message, and the last of them.
fn ends<C: RaftTypeConfig>(message: &AppendEntriesRequest<C>) -> (Option<LogIdOf<C>>, Option<LogIdOf<C>>) {
    let prev = message.prev_log_id.clone();
    let last = message.entries.last().map(RaftEntry::log_id).or_else(|| prev.clone());
    (prev, last)
}

fn result<C: RaftTypeConfig>(
    answer: AppendEntriesResponse<C>,
    prev: Option<LogIdOf<C>>,
    last: Option<LogIdOf<C>>,
) -> Answer<C> {
    if answer.is_conflict() && prev.is_none() {
        return Err(broken("a follower refused entries that have no predecessor"));
    }
    Ok(answer.into_stream_result(prev, last))
}

/// An error of a stream that violates the protocol.
pub fn broken<C: RaftTypeConfig>(what: &str) -> RPCError<C> {
    RPCError::Network(NetworkError::new(&AnyError::error(format!("the stream of entries: {what}"))))
}
