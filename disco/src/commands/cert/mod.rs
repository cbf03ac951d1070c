//! `disco cert`: shows and renews certificates.

mod rotate;
mod sign;
mod status;

pub(super) use self::{rotate::run as rotate, sign::run as sign, status::run as status};
