//! Real TCP, TLS and gRPC on the loopback.
