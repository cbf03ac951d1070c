//! What scripts find: globals, modules, the cluster, the network, processes. One program, as each takes as long to link as the whole engine;
//! beside it are those whose tests change their process, or load it.

mod cluster;
mod console;
mod errors;
mod globals;
mod intl;
mod kv;
mod modules;
mod net;
mod plan;
mod process;
#[path = "../support/mod.rs"]
mod support;
mod types;
