//! Records that are not what they should be.

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// What is stored is not such a record.
    #[error("the record `{key}` cannot be read")]
    Decode {
        /// Of the record.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}
