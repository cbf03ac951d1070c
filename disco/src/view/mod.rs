//! What commands print: the stable JSON documents, and the same for people.

mod backup;
mod certificate;
mod event;
mod kv;
mod node;
mod plan;
mod status;
mod units;
mod upgrade;

pub(crate) use self::{
    backup::{BackupView, BackupsView, KeptBackup},
    certificate::{CertificateRole, CertificateState, CertificateView, CertificatesView},
    event::EventItem,
    kv::{ChangeItem, KeyView, KeysView},
    node::{NodeView, NodesView},
    plan::PlanView,
    status::StatusView,
    upgrade::UpgradeView,
};
