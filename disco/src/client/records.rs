//! Disco's own records, JSON under `/disco/`.

use disco_proto::v1::{
    KeyValue, RangeRequest,
    range_request::{SortOrder, SortTarget},
};
use disco_store::prefix_range;
use serde_json::Value;

use super::{Client, Listing};
use crate::error::{Failure, Outcome};

/// The newest keys under a prefix.
#[derive(Debug)]
pub(crate) struct Newest {
    /// Oldest first.
    pub(crate) kvs: Vec<KeyValue>,
    /// The revision at which they were read.
    pub(crate) revision: i64,
}

impl Client {
    /// All keys with the prefix, in their order.
    pub(crate) async fn under(&self, prefix: &str) -> Outcome<Listing> {
        self.list(prefix_range(prefix), false).await
    }

    /// All records with the prefix, in the order of their keys.
    pub(crate) async fn records(&self, prefix: &str) -> Outcome<Vec<Value>> {
        self.under(prefix).await?.kvs.iter().map(record).collect()
    }

    /// The `count` keys with the prefix that were created last, at least one.
    pub(crate) async fn newest(&self, prefix: &str, count: u32) -> Outcome<Newest> {
        let range = RangeRequest {
            // To the store, 0 means no limit.
            limit: i64::from(count.max(1)),
            sort_order: SortOrder::Descend.into(),
            sort_target: SortTarget::Create.into(),
            ..prefix_range(prefix)
        };
        let mut answer = self.range(range, false).await?;
        answer.kvs.reverse();
        Ok(Newest { kvs: answer.kvs, revision: answer.revision })
    }
}

/// Decodes a record.
pub(crate) fn record(kv: &KeyValue) -> Outcome<Value> {
    serde_json::from_slice(&kv.value).map_err(|error| {
        let key = String::from_utf8_lossy(&kv.key);
        Failure::failed(format!("the record `{key}` is damaged")).because(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_record_is_named() {
        let kv = |value: &'static str| KeyValue { key: "/disco/x".into(), value: value.into(), ..KeyValue::default() };
        assert_eq!(record(&kv(r#"{"id":1}"#)).unwrap()["id"], 1);
        assert_eq!(record(&kv("{")).unwrap_err().to_string(), "the record `/disco/x` is damaged");
    }
}
