//! The results of commands: stable JSON documents, and human-readable text.

mod backup;
mod certificate;
mod deployment;
mod done;
mod event;
mod job;
mod kv;
mod node;
mod plan;
mod service;
mod status;
mod task;
mod units;
mod upgrade;
mod usage;
mod value;
mod why;

pub(crate) use self::{
    backup::{BackupView, BackupsView, NodeBackup},
    certificate::{CertificateRole, CertificateState, CertificateView, CertificatesView},
    deployment::DeploymentsView,
    done::{Done, would, would_change},
    event::{EventItem, EventsView},
    job::{JobView, JobsView, RunView},
    kv::{ChangeItem, KeyView, KeysView},
    node::{NodeView, NodesView},
    plan::PlanView,
    service::ServicesView,
    status::StatusView,
    task::TasksView,
    units::short_hash,
    upgrade::UpgradeView,
    usage::{TopNode, TopTask, TopView},
    value::{ConfigView, ValueSetView, ValuesView},
    why::WhyView,
};
