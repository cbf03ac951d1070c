//! The hooks of `cluster.js` as the daemon calls them: over gRPC, without machines.

mod crashes;
mod deployments;
mod nodes;
mod running;
mod support;
mod versions;
