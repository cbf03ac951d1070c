//! The format of the cluster's data: see `disco_proto::format`.

use anyhow::{Context, Result};

use crate::node::Leader;
use crate::raft::Member;
use crate::records;

/// Raises the data's format to the newest one that all members can read, once no upgrade is in progress that could be rolled back.
pub(super) async fn raise(leader: &Leader, members: &[Member]) -> Result<bool> {
    let own = disco_proto::format::own();
    let of = |member: &Member| match member.id == leader.id() {
        true => Some(own),
        false => leader.reports().get(member.id).map(|heard| disco_proto::format::told(heard.report.format)),
    };
    // A member that has not reported may have any format.
    let known: Option<Vec<u32>> = members.iter().map(of).collect();
    let Some(all) = known.and_then(|known| known.into_iter().min()) else { return Ok(false) };
    let (format, written, upgrade) = leader.raft().store().read(|store| {
        let written = records::get::<u32>(store, records::keys::FORMAT).map_or(0, |record| record.revision);
        let upgrade = records::get::<records::UpgradeRecord>(store, records::keys::UPGRADE);
        (records::format(store), written, upgrade.is_some())
    });
    if all <= format || upgrade {
        return Ok(false);
    }
    let txn = records::Txn::new().expect(records::keys::FORMAT, written).absent(records::keys::UPGRADE);
    let written = leader.write_in_term(txn.put(records::keys::FORMAT, &all).operation()).await;
    let raised = records::succeeded(&written.context("raising the format of the cluster's data")?);
    if raised {
        tracing::info!(format = all, "raised the format of the cluster's data");
    }
    Ok(raised)
}
