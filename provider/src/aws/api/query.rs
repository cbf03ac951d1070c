//! The query protocol of EC2 and IAM: forms as requests, XML as answers.

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::ErrorMetadata;

use super::super::error::CloudError;
use super::call::{Body, Kind, Service};
use super::form::Form;
use super::xml::{self, Element, Read, Unreadable};

/// A service with this protocol.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    service: Service,
    version: &'static str,
}

impl Query {
    /// Makes no request. The version is that of the API, such as `2016-11-15`.
    pub(crate) fn new(id: &'static str, name: &'static str, version: &'static str, config: &SdkConfig) -> Self {
        Self { service: Service::new(Kind { id, name, error }, config), version }
    }

    /// The same service, without retries.
    pub(crate) fn once(&self) -> Self {
        Self { service: self.service.once(), ..*self }
    }

    /// Makes a call and reads its answer.
    pub(crate) async fn read<T>(
        &self,
        call: &'static str,
        form: &Form,
        read: impl FnOnce(Element<'_>) -> Result<T, Unreadable>,
    ) -> Result<T, CloudError> {
        let answer = self.answer(call, form).await?;
        Element::parse(&answer, read).map_err(CloudError::unreadable(call))
    }

    /// Makes a call whose answer holds nothing but success.
    pub(crate) async fn run(&self, call: &'static str, form: &Form) -> Result<(), CloudError> {
        self.answer(call, form).await.map(|_| ())
    }

    /// Makes a call and reads the items of a set in the answer.
    pub(crate) async fn list<T: Read>(&self, call: &'static str, form: &Form, set: &str) -> Result<Vec<T>, CloudError> {
        self.read(call, form, |root| root.set(set)).await
    }

    /// The same for an answer that may be one of several pages. Reads them all.
    pub(crate) async fn pages<T: Read>(
        &self,
        call: &'static str,
        form: &Form,
        set: &str,
    ) -> Result<Vec<T>, CloudError> {
        let mut found: Vec<T> = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let form = form.clone().set_some("NextToken", token.as_deref());
            let read = |root: Element<'_>| Ok((root.set(set)?, root.text("nextToken")));
            let (items, next) = self.read(call, &form, read).await?;
            found.extend(items);
            match next.filter(|next| !next.is_empty()) {
                None => return Ok(found),
                Some(next) if token.as_ref() == Some(&next) => {
                    return Err(CloudError::unreadable(call)(Unreadable::Page(next)));
                }
                next => token = next,
            }
        }
    }

    async fn answer(&self, call: &'static str, form: &Form) -> Result<Vec<u8>, CloudError> {
        let text = form.body(call, self.version);
        self.service.call(call, Body { content_type: "application/x-www-form-urlencoded", target: None, text }).await
    }
}

fn error(_: &HttpResponse, content: &[u8]) -> Result<ErrorMetadata, Unreadable> {
    xml::error(content)
}
