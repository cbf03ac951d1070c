//! Whole clusters for tests: the real `disco` and `discod`, in folders and on loopback addresses of their own.
//!
//! - [`Project`]: a project folder with two scripts. `disco` is run in it as a user would, and the cluster that comes of it
//!   is ended when it is dropped, with every process that carries its mark, whether the test passed or not.
//! - [`RawCluster`]: `discod` processes without machines and SSH, for what is beneath.
//! - [`Etcdctl`]: the cluster as etcd's own client sees it.
//! - [`Api`]: the cluster by gRPC, as an operator, or as anyone else.
//! - [`Permit`]: when a test may run its cluster.
//!
//! Invariants: no test depends on another's files, addresses or environment; nothing waits by sleeping ([`wait_for`] looks
//! again and again, and says what it saw last); a process is signalled only when it carries the mark of its own project; however
//! a test ends, by `kill -9` too, its processes and folders go with it (see `disco-test-reaper`).

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
