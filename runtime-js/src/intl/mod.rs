//! `Intl`: numbers, plurals and times in a few languages, in all time zones.

pub(crate) mod ops;
