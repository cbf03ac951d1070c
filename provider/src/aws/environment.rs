//! The variables of the operator's environment that nodes get: the URL of an API other than Amazon's. Never credentials.

use std::collections::BTreeMap;

/// Variables with the URLs of services.
const PASSED_ON: &[&str] = &[
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
];

/// The variables of a node's service.
pub(super) fn for_nodes(read: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    PASSED_ON
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), read(name).filter(|value| !value.is_empty())?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_go_along_and_credentials_do_not() {
        let own = |name: &str| match name {
            "AWS_ENDPOINT_URL" | "AWS_EC2_METADATA_SERVICE_ENDPOINT" => Some("http://127.0.0.1:5000".to_owned()),
            "AWS_ENDPOINT_URL_EC2" => Some(String::new()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" | "AWS_PROFILE" => {
                Some("secret".to_owned())
            }
            _ => None,
        };
        let names: Vec<String> = for_nodes(own).into_keys().collect();
        assert_eq!(names, ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_ENDPOINT_URL"]);
    }
}
