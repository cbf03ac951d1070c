//! One number for all that a service is: equal hashes mean that there is nothing to deploy.

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::sorted::sorted;

/// Part of each hash. To be raised with a change of what a normalised service contains: hashes of two versions of Disco differ then,
/// and every service is deployed again, once.
const VERSION: u32 = 1;

/// Keys that say which services there are and how many, and how a deployment goes, but not what a task is.
const NOT_OF_A_TASK: &[&str] = &["profiles", "scale", "depends_on", "develop", "attach", "build"];
const NOT_OF_A_TASK_IN_DEPLOY: &[&str] = &["replicas", "update_config", "rollback_config"];

/// Hash over a service with every value resolved, and over the resources that it uses. Places, spelling and order of keys do not
/// count. What only says how many copies there are does not either: another number of copies restarts none.
pub(crate) fn service(service: &Json, resources: &Json) -> String {
    let mut service = service.clone();
    if let Some(keys) = service.as_object_mut() {
        for key in NOT_OF_A_TASK {
            keys.remove(*key);
        }
        if let Some(deploy) = keys.get_mut("deploy").and_then(Json::as_object_mut) {
            for key in NOT_OF_A_TASK_IN_DEPLOY {
                deploy.remove(*key);
            }
            if deploy.is_empty() {
                keys.remove("deploy");
            }
        }
        if let Some(disco) = keys.get_mut("x-disco").and_then(Json::as_object_mut) {
            disco.remove("rollout");
        }
    }
    let whole = sorted(json!({ "version": VERSION, "service": service, "resources": resources }));
    let digest = Sha256::digest(whole.to_string().as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_count() {
        let one: Json =
            serde_json::from_str(r#"{"image":"a","user":"b","deploy":{"mode":"global","labels":{"x":"1"}}}"#).unwrap();
        let other: Json =
            serde_json::from_str(r#"{"deploy":{"labels":{"x":"1"},"mode":"global"},"user":"b","image":"a"}"#).unwrap();
        assert_eq!(service(&one, &Json::Null), service(&other, &Json::Null));
    }

    #[test]
    fn the_number_of_copies_is_no_part_of_a_task() {
        let one = json!({ "image": "a", "deploy": { "replicas": 1 } });
        let two = json!({ "scale": 2, "image": "a" });
        let (own, with_limit) = (json!({ "x-disco": {} }), json!({ "x-disco": { "rollout": { "limit": "1m0s" } } }));
        assert_eq!(service(&own, &Json::Null), service(&with_limit, &Json::Null));
        let other = json!({ "image": "b" });
        assert_eq!(service(&one, &Json::Null), service(&two, &Json::Null));
        assert_ne!(service(&one, &Json::Null), service(&other, &Json::Null));
        assert_ne!(service(&one, &Json::Null), service(&one, &json!({ "configs": { "a": { "content": "x" } } })));
    }
}
