//! JSON in and out, as protobuf maps it.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::de::IgnoredAny;
use tonic::Status;

use crate::api::etcd::MAX_REQUEST_BYTES;

/// Base64 adds a third.
const MAX_JSON_BYTES: usize = MAX_REQUEST_BYTES / 3 * 4;

/// The values in a request's body, in order.
pub(super) struct Values {
    body: Body,
    read: BytesMut,
    ended: bool,
}

// === impl Values ===

impl Values {
    pub(super) fn new(body: Body) -> Self {
        Self { body, read: BytesMut::new(), ended: false }
    }

    /// The next value, once it has arrived; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&self.read).into_iter::<IgnoredAny>();
            match values.next() {
                Some(Ok(_)) => {
                    let end = values.byte_offset();
                    return Ok(Some(self.read.split_to(end).freeze()));
                }
                Some(Err(error)) if self.ended || !error.is_eof() => {
                    return Err(Status::invalid_argument(format!("request is not valid JSON: {error}")));
                }
                None if self.ended => return Ok(None),
                _ => self.more().await?,
            }
        }
    }

    async fn more(&mut self) -> Result<(), Status> {
        match self.body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    if self.read.len() + data.len() > MAX_JSON_BYTES {
                        return Err(crate::api::etcd::errors::request_too_large());
                    }
                    self.read.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => return Err(Status::cancelled(error.to_string())),
            None => self.ended = true,
        }
        Ok(())
    }
}

/// Encodes the message that the JSON stands for. Unknown fields are ignored, as by etcd.
pub(super) fn encode(of: MessageDescriptor, json: &[u8]) -> Result<Vec<u8>, Status> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(of, &mut reader, &options);
    message.map(|message| message.encode_to_vec()).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// An encoded message as JSON.
pub(super) fn decode(of: MessageDescriptor, message: Bytes) -> Result<Vec<u8>, Status> {
    let internal = |error: &dyn std::error::Error| Status::internal(error.to_string());
    let message = DynamicMessage::decode(of, message).map_err(|error| internal(&error))?;
    let mut json = Vec::new();
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
        .map_err(|error| internal(&error))?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use disco_proto::etcdserverpb::{PutRequest, RangeResponse, ResponseHeader};
    use disco_proto::v1::KeyValue;

    use super::super::method;
    use super::*;

    #[test]
    fn json_matches_etcds_gateway() {
        let put = method("etcdserverpb.KV", "Put").unwrap().input();
        for json in [
            r#"{"key":"Zm9v","value":"YmFy","lease":"7587","prev_kv":true,"ignoreLease":true,"unknown":1}"#,
            r#"{"key":"Zm9v","value":"YmFy","lease":7587,"prevKv":true,"ignore_lease":true}"#,
        ] {
            let message = PutRequest::decode(&*encode(put.clone(), json.as_bytes()).unwrap()).unwrap();
            assert_eq!((&*message.key, &*message.value), (&b"foo"[..], &b"bar"[..]));
            assert_eq!((message.lease, message.prev_kv, message.ignore_lease), (7587, true, true));
        }
        assert!(encode(put, br#"{"key":"not base64!"}"#).is_err());

        let answer = RangeResponse {
            header: Some(ResponseHeader { cluster_id: u64::MAX, revision: 5, ..ResponseHeader::default() }),
            kvs: vec![KeyValue { key: "foo".into(), mod_revision: 5, ..KeyValue::default() }],
            more: false,
            count: 1,
        };
        let json = decode(method("etcdserverpb.KV", "Range").unwrap().output(), answer.encode_to_vec().into()).unwrap();
        let expected = r#"{"header":{"cluster_id":"18446744073709551615","revision":"5"},"kvs":[{"key":"Zm9v","mod_revision":"5"}],"count":"1"}"#;
        assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
    }

    #[tokio::test]
    async fn values_come_one_after_the_other_however_they_are_cut() {
        let parts = ["{\"a\":", "1}\n", " {\"b\":2}{\"c", "\":3}", "  "];
        let parts = parts.map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        let mut values = Values::new(Body::from_stream(futures_util::stream::iter(parts)));
        for expected in ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"] {
            let value = values.next().await.unwrap().unwrap();
            assert_eq!(std::str::from_utf8(&value).unwrap().trim(), expected);
        }
        assert_eq!(values.next().await.unwrap(), None);
        for bad in ["{\"a\":", "]", "{\"a\" 1}"] {
            assert!(Values::new(Body::from(bad)).next().await.is_err(), "{bad}");
        }
        let large = format!("\"{}\"", "x".repeat(MAX_JSON_BYTES));
        let refused = Values::new(Body::from(large)).next().await.unwrap_err();
        assert_eq!(refused.message(), "etcdserver: request is too large");
    }
}
