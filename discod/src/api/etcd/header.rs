//! The header of every answer.

use disco_proto::etcdserverpb::ResponseHeader;
use disco_store::Store;

use super::EtcdService;

/// The version of etcd whose API this is, in the form that clients parse.
pub(super) const API_VERSION: &str = "3.6.0";

impl EtcdService {
    /// A header with the revision of the answer.
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

    /// A header with this node's current revision.
    pub(super) fn header_now(&self) -> Option<ResponseHeader> {
        self.header(self.node.raft().store().read(Store::revision))
    }
}

/// The header of an answer within a transaction's: etcd sets only the revision there.
pub(super) fn inner(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}
