//! The calls of Service Quotas: JSON as requests and answers (`application/x-amz-json-1.1`).

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::ErrorMetadata;
use serde::Deserialize;
use serde_json::json;

use super::super::error::CloudError;
use super::call::{Body, Kind, Service};
use super::xml::Unreadable;

/// Service Quotas in one region.
#[derive(Debug, Clone)]
pub(crate) struct Quotas(Service);

/// An answer of `GetServiceQuota`.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(rename = "Quota")]
    quota: Option<Quota>,
}

#[derive(Debug, Deserialize)]
struct Quota {
    #[serde(rename = "Value")]
    value: Option<f64>,
}

/// An answer that is an error.
#[derive(Debug, Default, Deserialize)]
struct Failure {
    code: Option<String>,
    #[serde(rename = "__type")]
    kind: Option<String>,
    #[serde(alias = "Message", alias = "errorMessage")]
    message: Option<String>,
}

impl Quotas {
    /// Makes no request.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self(Service::new(Kind { id: "Service Quotas", name: "servicequotas", error }, config))
    }

    /// The account's value of a quota, if it has one.
    pub(crate) async fn get_service_quota(&self, service: &str, quota: &str) -> Result<Option<f64>, CloudError> {
        const CALL: &str = "GetServiceQuota";
        let body = Body {
            content_type: "application/x-amz-json-1.1",
            target: Some("ServiceQuotasV20190624.GetServiceQuota"),
            text: json!({ "ServiceCode": service, "QuotaCode": quota }).to_string(),
        };
        let answer = self.0.call(CALL, body).await?;
        value(&answer).map_err(CloudError::unreadable(CALL))
    }
}

fn value(answer: &[u8]) -> Result<Option<f64>, Unreadable> {
    let answer: Answer = serde_json::from_slice(answer)?;
    Ok(answer.quota.and_then(|quota| quota.value))
}

fn error(answer: &HttpResponse, content: &[u8]) -> Result<ErrorMetadata, Unreadable> {
    let header = answer.headers().get("x-amzn-errortype");
    let failure: Failure = serde_json::from_slice(content)?;
    let mut found = ErrorMetadata::builder();
    if let Some(code) = header.or(failure.code.as_deref()).or(failure.kind.as_deref()) {
        found = found.code(short(code));
    }
    if let Some(message) = failure.message {
        found = found.message(message);
    }
    Ok(found.build())
}

/// `com.amazonaws.example#Name:http://…` is `Name`.
fn short(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn a_quota_is_a_number_or_nothing() {
        assert_eq!(value(br#"{"Quota": {"QuotaCode": "L-1216C47A", "Value": 32.0}}"#).unwrap(), Some(32.0));
        assert_eq!(value(br#"{"Quota": {"QuotaCode": "L-1216C47A"}}"#).unwrap(), None);
        assert_eq!(value(b"{}").unwrap(), None);
        assert!(value(b"<Quota/>").unwrap_err().to_string().starts_with("the answer is not the expected JSON: "));
    }

    #[test]
    fn an_error_has_its_code_in_one_of_three_places() {
        let mut answer = HttpResponse::new(400.try_into().unwrap(), SdkBody::empty());
        let read = |answer: &HttpResponse, text: &str| {
            let found = error(answer, text.as_bytes()).unwrap();
            (found.code().map(str::to_owned), found.message().map(str::to_owned))
        };
        let expected = (Some("NoSuchResourceException".to_owned()), Some("no quota".to_owned()));
        for text in [
            r#"{"__type": "NoSuchResourceException", "message": "no quota"}"#,
            r#"{"__type": "com.amazonaws.servicequotas#NoSuchResourceException", "Message": "no quota"}"#,
            r#"{"code": "NoSuchResourceException:http://internal/", "message": "no quota"}"#,
        ] {
            assert_eq!(read(&answer, text), expected, "{text}");
        }
        assert!(error(&answer, b"Bad Gateway").is_err());
        answer.headers_mut().insert("x-amzn-errortype", "AccessDeniedException");
        assert_eq!(read(&answer, "{}"), (Some("AccessDeniedException".to_owned()), None));
    }
}
