//! `fetch`, `http`, `tcp`: for probes and webhooks. HTTP/1.1 over TCP and TLS, one connection for each request.

mod connect;
mod encoding;
mod fetch;
mod names;
pub(crate) mod ops;
