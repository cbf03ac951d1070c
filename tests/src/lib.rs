//! Whole clusters for tests: the real `disco` and `discod`, each in its own folder and on its own loopback addresses.
//!
//! - [`Project`]: a project folder with two scripts. Tests run `disco` in it as a user would; when it is dropped, its cluster and
//!   every process with its mark are ended, whether the test passed or not.
//! - [`RawCluster`]: `discod` processes without machines and SSH, for tests of the lower layers.
//! - [`Etcdctl`]: the cluster through etcd's own client.
//! - [`Api`]: the cluster through gRPC, as an operator or in another role.
//! - [`Permit`]: when a test may run its cluster.
//!
//! Invariants: no test depends on another's files, addresses or environment; no test sleeps ([`wait_for`] polls a condition,
//! and reports the last state); a process is signalled only if it carries the mark of its own project; however
//! a test ends, even by `kill -9`, its processes and folders are removed (see `disco-test-reaper`).

mod addresses;
mod api;
mod aws;
mod binaries;
mod door;
mod etcd;
pub mod faults;
mod hosts;
mod idle;
mod machine;
mod output;
mod permit;
mod processes;
mod project;
mod raw;
mod reaper;
mod scripts;
mod shared;
mod skipped;
mod sshd;
mod status;
mod systemd;
mod tmpfs;
mod values;
mod wait;
mod writers;

pub use addresses::free_ip;
pub use api::{Api, block, causes};
pub use aws::{Call, Cloud, Inventory};
pub use binaries::Binaries;
pub use door::{Closed, Door};
pub use etcd::Etcdctl;
pub use hosts::hosts_project;
pub use idle::idle_time;
pub use machine::Machine;
pub use output::{Output, Running};
pub use permit::Permit;
pub use processes::{Process, is_alive, memory};
pub use project::{Project, ProjectBuilder};
pub use raw::{RawCluster, RawNode};
pub use reaper::{be_reaper, watch_over};
pub use scripts::{client_script, cluster_script};
pub use shared::{Report, Shared, Turn};
pub use skipped::skipped;
pub use sshd::Sshd;
pub use status::{NodeStatus, Status};
pub use systemd::SystemdMachine;
pub use tmpfs::Tmpfs;
pub use wait::{SOON, look_for, wait_for, within};
pub use writers::Writers;
