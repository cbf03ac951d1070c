//! Errors of records.

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The stored value is not such a record.
    #[error("the record `{key}` cannot be read")]
    Decode {
        /// Key of the record.
        key: String,
        /// The decoding error.
        #[source]
        source: serde_json::Error,
    },
}
