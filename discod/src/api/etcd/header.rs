//! What every answer begins with.

use disco_proto::etcdserverpb::ResponseHeader;
use disco_store::Store;

use super::EtcdService;

/// The version of etcd whose API this is, as clients that look at it take it.
pub(super) const API_VERSION: &str = "3.6.0";

impl EtcdService {
    /// With the revision that the answer was made at.
    pub(super) fn header(&self, revision: i64) -> Option<ResponseHeader> {
        let digits = self.node.cluster_id().as_str().get(..16).unwrap_or_default();
        Some(ResponseHeader {
            // 32 hexadecimal digits by construction, so half of them are a number.
            cluster_id: u64::from_str_radix(digits, 16).unwrap_or_default(),
            member_id: self.node.id(),
            revision,
            raft_term: self.node.raft().leadership().borrow().term,
        })
    }

    /// With the revision that this node is at.
    pub(super) fn header_now(&self) -> Option<ResponseHeader> {
        self.header(self.node.raft().store().read(Store::revision))
    }
}

/// Of an answer within a transaction's: etcd tells the revision there and nothing else.
pub(super) fn inner(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}
