//! Two ends of a connection, by real TCP, TLS and gRPC on the loopback.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod ageless;
mod certificates;
mod listening;
mod open_connections;
mod roles;
mod support;
