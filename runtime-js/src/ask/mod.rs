//! `ask`: a question to the operator.

mod interface;

pub use interface::Prompt;
