//! Getting Disco onto a machine over SSH, in the same way for every provider.
//!
//! ```text
//! probe ──> compare with what is there ──> send the binaries that differ ──> identity or join token ──> service
//! ```
//! What is found by [`Remote::probe`] decides the [`Layout`]:
//!
//! | machine | binaries | data | service |
//! |---|---|---|---|
//! | `DISCO_PREFIX` is set (local machines) | `$DISCO_PREFIX/bin` | `…/data` | `…/service`, [`crate::supervise`] |
//! | root, systemd | `/usr/local/bin` | `/var/lib/disco` | unit `discod`, `/etc/disco` |
//! | root, no systemd | `/usr/local/bin` | `/var/lib/disco` | `/var/lib/disco/service`, [`crate::supervise`] |
//! | anyone else | `~/.local/share/disco/bin` | `…/data` | `…/service`, [`crate::supervise`] |
//!
//! Invariants:
//! - Every step may be repeated: what is right already is left alone, and the service is restarted only when a binary or its
//!   settings changed, or when it does not run.
//! - A file appears under its name only when it is whole, checked, and (for a program) could be started there. So an
//!   installation that is interrupted anywhere is completed by the next one.
//! - Nothing is sent to a machine that could not use it.

mod binaries;
mod boot;
mod clock;
mod elf;
mod error;
mod identity;
mod layout;
mod listen;
mod node;
mod probe;
mod progress;
mod remote;
mod service;
mod settings;
mod state;
mod upgrade;
mod upload;

pub use binaries::{Binaries, Binary};
pub use boot::Boot;
pub use elf::Architecture;
pub use error::InstallError;
pub use layout::{Layout, ServiceKind};
pub use node::Installed;
pub use probe::{Probe, Room};
pub use progress::{InstallProgress, NoProgress, Step};
pub use remote::Remote;
pub use service::ServiceState;
pub use settings::NodeSettings;
pub use upgrade::{Installation, ServiceProcess};
