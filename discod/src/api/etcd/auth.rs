//! Users and roles. Disco has none: certificates authorise clients.

use disco_proto::etcdserverpb::auth_server::Auth;
use disco_proto::etcdserverpb::{AuthRequest, AuthResponse, AuthStatusResponse};
use tonic::{Request, Response, Status};

use super::{EtcdService, errors};

type Answer = Result<Response<AuthResponse>, Status>;

/// Implements the methods that share one answer.
macro_rules! by_certificate {
    ($($method:ident)*) => {
        #[tonic::async_trait]
        impl Auth for EtcdService {
            async fn auth_status(&self, request: Request<AuthRequest>) -> Result<Response<AuthStatusResponse>, Status> {
                self.admit(&request)?;
                Ok(Response::new(AuthStatusResponse { header: self.header_now(), enabled: false, auth_revision: 1 }))
            }

            // Clients with a configured user name continue without authentication when they receive this text.
            async fn authenticate(&self, request: Request<AuthRequest>) -> Answer {
                self.admit(&request)?;
                Err(errors::auth_not_enabled())
            }

            $(async fn $method(&self, request: Request<AuthRequest>) -> Answer {
                self.admit(&request)?;
                Err(Status::failed_precondition(
                    "etcdserver: Disco authorises clients by certificate and has no users or roles",
                ))
            })*
        }
    };
}

by_certificate! {
    auth_enable auth_disable
    user_add user_get user_list user_delete user_change_password user_grant_role user_revoke_role
    role_add role_get role_list role_delete role_grant_permission role_revoke_permission
}
