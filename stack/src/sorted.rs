//! Objects with their keys in order.

use serde_json::Value as Json;

/// The same value with the keys of all its objects in order. `serde_json` keeps them so by itself only as long as no crate of the
/// same program asks for its feature `preserve_order`.
pub(crate) fn sorted(json: Json) -> Json {
    match json {
        Json::Object(object) => {
            let mut keys: Vec<(String, Json)> = object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            keys.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(keys.into_iter().collect())
        }
        Json::Array(list) => Json::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}
