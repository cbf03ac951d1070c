//! `node.copy`: copies files of a deployment to a node.

use disco_proto::v1::CopyFileRequest;
use disco_runtime_js::cluster::CopyRequest;
use disco_runtime_js::{ErrorCode, HostError};

use super::errors;
use crate::cluster::nodes::files::PART_BYTES;
use crate::cluster::nodes::run;
use crate::node::Node;
use crate::peers::Hops;
use crate::script::blobs;
use crate::script::records::{self, DeploymentState, FileRecord};

/// Copies a file of the deployment to a node.
pub(super) async fn copy(node: &Node, node_id: u64, request: &CopyRequest) -> Result<(), HostError> {
    let file = find(node, &request.path_in_project)?;
    let content = node.raft().store().read(|store| blobs::read(store, &file));
    let content =
        bytes::Bytes::from(content.map_err(|error| HostError::from_error(&error).with_code(ErrorCode::NotFound))?);
    let upload = uuid::Uuid::new_v4().to_string();
    let mut offset = 0;
    loop {
        let end = (offset + PART_BYTES).min(content.len());
        let part = CopyFileRequest {
            node_id,
            path: request.path_on_node.clone(),
            mode: request.mode.unwrap_or(file.mode),
            data: content.slice(offset..end),
            offset: offset as u64,
            size: content.len() as u64,
            sha256: file.sha256.clone(),
            upload: upload.clone(),
        };
        run::copy(node, Hops::default(), part).await.map_err(errors::operation)?;
        offset = end;
        if offset == content.len() {
            return Ok(());
        }
    }
}

/// The file in the deployment that runs on this node, or else in the last one that succeeded.
fn find(node: &Node, path: &str) -> Result<FileRecord, HostError> {
    let not_found = |message: String| HostError::new(message).with_code(ErrorCode::NotFound);
    let (id, files) = match node.scripts().deploying() {
        Some(deploying) => (deploying.id, deploying.files.to_vec()),
        None => {
            let deployments = node.raft().store().read(records::deployments).into_iter().rev();
            let last = deployments.map(|found| found.value).find(|one| one.state == DeploymentState::Succeeded);
            let last = last.ok_or_else(|| not_found(format!("`{path}` does not exist: nothing was deployed yet")))?;
            (last.id, last.files)
        }
    };
    files.into_iter().find(|file| file.path == path).ok_or_else(|| {
        not_found(format!("`{path}` does not exist in deployment {id}; `.discoignore` excludes files from deployments"))
    })
}
