//! The query protocol of EC2 and IAM: forms as requests, XML as answers.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::ErrorMetadata;

use super::super::error::CloudError;
use super::call::{Body, Kind, Service};
use super::form::Form;
use super::xml::{self, Element, Read, Unreadable};

/// The most pages of one answer. A page has some hundred machines or networks, far more than a cluster's account needs.
const MOST_PAGES: usize = 200;

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

    /// The service.
    pub(crate) fn service(&self) -> &Service {
        &self.service
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
        let mut seen = BTreeSet::new();
        for _ in 0..MOST_PAGES {
            let form = form.clone().set_some("NextToken", token.as_deref());
            let read = |root: Element<'_>| Ok((root.set(set)?, root.text("nextToken")));
            let (items, next) = self.read(call, &form, read).await?;
            found.extend(items);
            let Some(next) = next.filter(|next| !next.is_empty()) else { return Ok(found) };
            if !seen.insert(next.clone()) {
                return Err(CloudError::unreadable(call)(Unreadable::Page(next)));
            }
            token = Some(next);
        }
        Err(CloudError::unreadable(call)(Unreadable::Pages(MOST_PAGES)))
    }

    async fn answer(&self, call: &'static str, form: &Form) -> Result<Vec<u8>, CloudError> {
        let text = form.body(call, self.version);
        self.service.call(call, Body { content_type: "application/x-www-form-urlencoded", target: None, text }).await
    }
}

fn error(_: &HttpResponse, content: &[u8]) -> Result<ErrorMetadata, Unreadable> {
    xml::error(content)
}
