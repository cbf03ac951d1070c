//! Lists of keys, in as many requests as their size needs: a message between two programs has at most 16 MiB.

use disco_proto::v1::{
    KeyValue, RangeRequest, RangeResponse,
    range_request::{SortOrder, SortTarget},
};
use disco_runtime_js::ErrorCode;

use super::Client;
use crate::error::{Failure, Outcome};

/// Keys of the first request. The node holds a whole answer in memory, so the number grows only while the answers are small.
const FIRST: i64 = 16;
/// Maximum number of keys of one request.
const MOST: i64 = 1024;
/// Size of an answer after which the next request is for fewer keys, in bytes.
const LARGE: usize = 2 << 20;

/// A list of keys, in their order.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) kvs: Vec<KeyValue>,
    /// The revision of all keys; 0 if they are stale or of several.
    pub(crate) revision: i64,
    /// There are more keys than the limit.
    pub(crate) more: bool,
    /// The list is not of one revision: keys changed meanwhile, and the first revision was compacted before the end.
    pub(crate) torn: bool,
}

impl Client {
    /// The keys of `range` in their order, all of one revision where possible.
    pub(crate) async fn list(&self, range: RangeRequest, stale: bool) -> Outcome<Listing> {
        list(range, stale, |page| self.range(page, stale)).await
    }
}

async fn list<R>(range: RangeRequest, stale: bool, read: impl Fn(RangeRequest) -> R) -> Outcome<Listing>
where
    R: Future<Output = Outcome<RangeResponse>>,
{
    let mut listing = Listing::default();
    let mut page = FIRST;
    let mut next =
        RangeRequest { sort_order: SortOrder::Ascend.into(), sort_target: SortTarget::Key.into(), ..range.clone() };
    loop {
        let found = i64::try_from(listing.kvs.len()).unwrap_or(i64::MAX);
        let left = if range.limit == 0 { i64::MAX } else { range.limit - found };
        next.limit = page.min(left);
        let answer = match read(next.clone()).await {
            Ok(answer) => answer,
            Err(failure) if failure.code() == ErrorCode::TooLarge && next.limit > 1 => {
                page = next.limit / 2;
                continue;
            }
            Err(failure) if failure.code() == ErrorCode::OutOfRange && next.revision != 0 && !listing.torn => {
                next.revision = 0;
                listing.torn = true;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        page = next_page(page, &answer.kvs);
        if let Some(last) = answer.kvs.last() {
            // The smallest key that is greater.
            next.key = [last.key.as_ref(), &[0]].concat().into();
        }
        // Nodes that answer with stale data may not have the revision of another one.
        if !stale && !listing.torn && next.revision == 0 {
            next.revision = answer.revision;
        }
        let (empty, more) = (answer.kvs.is_empty(), answer.more);
        listing.kvs.extend(answer.kvs);
        if !more || empty || next.limit == left {
            listing.more = more;
            listing.revision = next.revision;
            return Ok(listing);
        }
    }
}

fn next_page(page: i64, kvs: &[KeyValue]) -> i64 {
    let bytes: usize = kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
    if bytes > LARGE { (page / 2).max(1) } else { (page * 2).min(MOST) }
}

/// The failure of a request or an answer that is larger than a message may be.
pub(super) fn too_large(message: &str) -> Failure {
    let sizes: Vec<u64> =
        message.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    Failure::usage(match sizes.as_slice() {
        [found, limit] => format!("too large: {found} bytes; a request and its answer have at most {limit} bytes each"),
        _ => "too large: a request and its answer have at most 16 MiB each".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A node with `count` keys of `bytes` each, which refuses answers above 16 MiB.
    async fn listed(count: usize, bytes: usize, limit: i64) -> (Listing, Vec<RangeRequest>) {
        let requests = Mutex::new(Vec::new());
        let read = |request: RangeRequest| {
            requests.lock().unwrap().push(request.clone());
            let all = (0..count).map(|number| format!("key-{number:06}"));
            let mut found: Vec<_> = all.filter(|key| key.as_bytes() >= request.key.as_ref()).collect();
            let more = found.len() > request.limit as usize;
            found.truncate(request.limit as usize);
            let answer = if found.len() * bytes > 16 << 20 {
                Err(too_large("").coded(ErrorCode::TooLarge))
            } else {
                let kv =
                    |key: String| KeyValue { key: key.into(), value: vec![0; bytes].into(), ..KeyValue::default() };
                let kvs = found.into_iter().map(kv).collect();
                Ok(RangeResponse { kvs, more, revision: 7, ..RangeResponse::default() })
            };
            std::future::ready(answer)
        };
        let range = RangeRequest { key: "key-".into(), range_end: "key.".into(), limit, ..RangeRequest::default() };
        let listing = list(range, false, read).await.unwrap();
        (listing, requests.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_list_that_is_larger_than_a_message_is_read_in_pages_of_one_revision() {
        let (listing, requests) = listed(30, 3 << 19, 0).await;
        let keys: Vec<_> = listing.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect();
        assert_eq!(keys, (0..30).map(|number| format!("key-{number:06}")).collect::<Vec<_>>());
        assert!(!listing.more && !listing.torn);
        assert!(requests.iter().skip(2).all(|request| request.revision == 7), "{requests:?}");
    }

    #[tokio::test]
    async fn small_keys_need_few_requests_and_the_limit_holds() {
        let (listing, requests) = listed(5_000, 10, 4_000).await;
        assert_eq!(listing.kvs.len(), 4_000);
        assert!(listing.more);
        assert!(requests.len() < 15, "{} requests", requests.len());
        let (all, _) = listed(48, 10, 48).await;
        assert!(all.kvs.len() == 48 && !all.more);
    }

    #[test]
    fn a_limit_is_named_in_words() {
        let text = "Error, encoded message length too large: found 23 bytes, the limit is: 16 bytes";
        assert_eq!(
            too_large(text).message(),
            "too large: 23 bytes; a request and its answer have at most 16 bytes each"
        );
    }
}
