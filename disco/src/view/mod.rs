//! What commands print: the stable JSON documents, and the same for people.

mod event;
mod kv;
mod node;
mod status;
mod units;

pub(crate) use self::{
    event::EventItem,
    kv::{ChangeItem, KeyView, KeysView},
    node::{NodeView, NodesView},
    status::StatusView,
};
