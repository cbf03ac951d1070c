//! `ask`: a question to the operator.

mod interface;
pub(crate) mod ops;

pub use interface::Prompt;
