//! gRPC's health checks, by which its clients and balancers choose a server. A node serves while it knows a leader that
//! is not silent.

use std::time::Duration;

use disco_proto::health::health_check_response::ServingStatus;
use disco_proto::health::health_server::Health;
use disco_proto::health::{HealthCheckRequest, HealthCheckResponse};
use futures_util::stream;
use tonic::{Request, Response, Status};

use super::EtcdService;
use crate::api::Answers;

/// How often a watched state is compared.
const PERIOD: Duration = Duration::from_secs(1);

impl EtcdService {
    fn serving(&self) -> ServingStatus {
        if self.node.raft().has_leader() { ServingStatus::Serving } else { ServingStatus::NotServing }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for EtcdService {
    type WatchStream = Answers<HealthCheckResponse>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        disco_identity::require_user(&request)?;
        if request.get_ref().service.is_empty() {
            Ok(Response::new(answer(self.serving())))
        } else {
            Err(Status::not_found("unknown service"))
        }
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        disco_identity::require_user(&request)?;
        let place = self.stay(&request)?;
        let known = request.get_ref().service.is_empty();
        let service = self.clone();
        let changes = stream::unfold(None, move |last| {
            let service = service.clone();
            async move {
                loop {
                    let now = if known { service.serving() } else { ServingStatus::ServiceUnknown };
                    if last != Some(now) {
                        return Some((Ok(answer(now)), Some(now)));
                    }
                    tokio::time::sleep(PERIOD).await;
                }
            }
        });
        Ok(Response::new(place.hold(Box::pin(changes))))
    }
}
