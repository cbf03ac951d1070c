//! The results of commands: stable JSON documents, and human-readable text.

mod backup;
mod certificate;
mod deployment;
mod done;
mod event;
mod kv;
mod node;
mod plan;
mod status;
mod units;
mod upgrade;

pub(crate) use self::{
    backup::{BackupView, BackupsView, NodeBackup},
    certificate::{CertificateRole, CertificateState, CertificateView, CertificatesView},
    deployment::DeploymentsView,
    done::{Done, would},
    event::{EventItem, EventsView},
    kv::{ChangeItem, KeyView, KeysView},
    node::{NodeView, NodesView},
    plan::PlanView,
    status::StatusView,
    units::short_hash,
    upgrade::UpgradeView,
};
