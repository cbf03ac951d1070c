//! Members: read-only, since Disco manages them itself.

use disco_proto::etcdserverpb::cluster_server::Cluster;
use disco_proto::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use super::EtcdService;
use crate::raft::Role;

fn by_disco(how: &str) -> Status {
    Status::failed_precondition(format!("etcdserver: Disco manages its members itself: {how}"))
}

#[tonic::async_trait]
impl Cluster for EtcdService {
    async fn member_list(&self, request: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        self.admit(&request)?;
        if request.get_ref().linearizable {
            self.barrier().await?;
        }
        let members = self.node.raft().members().into_iter().map(|member| {
            // One port serves nodes and clients.
            let url = format!("https://{}", member.info.address);
            Member {
                id: member.id,
                name: member.info.name,
                peer_ur_ls: vec![url.clone()],
                client_ur_ls: vec![url],
                is_learner: member.role == Role::Learner,
            }
        });
        let members = members.collect();
        Ok(Response::new(MemberListResponse { header: self.header_now(), members }))
    }

    async fn member_add(&self, request: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        self.admit(&request)?;
        Err(by_disco("`disco scale nodes=N` adds nodes"))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        self.admit(&request)?;
        Err(by_disco("`disco node rm NODE` removes a node"))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        self.admit(&request)?;
        Err(by_disco("a node registers its new address when it starts with that address"))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        self.admit(&request)?;
        Err(by_disco("the leader promotes a learner once it is up to date and a voter is missing; see `disco nodes`"))
    }
}
