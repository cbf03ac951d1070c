//! Installs Disco on a machine over SSH, in the same way for every provider.
//!
//! ```text
//! probe ──> permitted? ──> compare with what is installed ──> send the binaries that differ ──> identity or join token ──> service
//! ```
//! The result of [`Remote::probe`] determines the [`Layout`]:
//!
//! | machine | binaries | data | service |
//! |---|---|---|---|
//! | `DISCO_PREFIX` is set (local machines) | `$DISCO_PREFIX/bin` | `…/data` | `…/service`, [`crate::supervise`] |
//! | root, systemd | `/usr/local/bin` | `/var/lib/disco` | unit `discod`, `/etc/disco` |
//! | root, no systemd | `/usr/local/bin` | `/var/lib/disco` | `/var/lib/disco/service`, [`crate::supervise`] |
//! | anyone else | `~/.local/share/disco/bin` | `…/data` | `…/service`, [`crate::supervise`] |
//!
//! Invariants:
//! - Nothing is changed on a machine before [`Remote::permit`] has allowed it: see [`Owner`].
//! - Only what Disco has installed is removed, according to its manifest.
//! - Every step may be repeated: what is up to date is left alone, and the service is restarted only when a binary or its
//!   settings changed, or when it does not run.
//! - A file gets its name only when it is complete, verified, and (for a program) could be started there. So an
//!   interrupted installation is completed by the next one.
//! - Nothing is sent to a machine that could not use it.

mod authorized_keys;
mod binaries;
mod boot;
mod clock;
mod elf;
mod error;
mod identity;
mod keys;
mod layout;
mod left;
mod listen;
mod manifest;
mod node;
mod owner;
mod permit;
mod ports;
mod probe;
mod progress;
mod remote;
mod removal;
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
pub use left::Left;
pub use node::Installed;
pub use owner::{Other, Owner, Refusal};
pub use permit::Permitted;
pub use ports::Ports;
pub use probe::{Probe, Room};
pub use progress::{InstallProgress, NoProgress, Step};
pub use remote::Remote;
pub use service::ServiceState;
pub use settings::NodeSettings;
pub use upgrade::{Installation, ServiceProcess};
