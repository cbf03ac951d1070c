//! The results of commands: stable JSON documents, and human-readable text.

mod backup;
mod certificate;
mod deployment;
mod done;
mod event;
mod kv;
mod node;
mod plan;
mod service;
mod status;
mod task;
mod units;
mod upgrade;

pub(crate) use self::{
    backup::{BackupView, BackupsView, NodeBackup},
    certificate::{CertificateRole, CertificateState, CertificateView, CertificatesView},
    deployment::DeploymentsView,
    done::{Done, would, would_change},
    event::{EventItem, EventsView},
    kv::{ChangeItem, KeyView, KeysView},
    node::{NodeView, NodesView},
    plan::PlanView,
    service::ServicesView,
    status::StatusView,
    task::TasksView,
    units::short_hash,
    upgrade::UpgradeView,
};
