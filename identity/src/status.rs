//! Messages of failed requests.

use std::error::Error;

use tonic::Status;

/// The status's message with the causes that the transport keeps in its sources, each once.
#[must_use]
pub fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        let cause = match error.downcast_ref::<Status>() {
            Some(status) => status.message().to_owned(),
            None => error.to_string(),
        };
        // The library's text for "see the next cause".
        if cause != "transport error" && !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
        source = error.source();
    }
    if text.is_empty() { status.code().description().to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_named_once() {
        let broken = std::io::Error::other("connection refused");
        assert_eq!(describe(&Status::from_error(Box::new(broken))), "connection refused");
        assert_eq!(describe(&Status::not_found("there is no node 9")), "there is no node 9");
        assert_eq!(describe(&Status::unavailable("")), Status::unavailable("").code().description());
    }
}
