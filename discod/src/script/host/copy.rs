//! `node.copy`: from the files of a deployment to a node.

use disco_proto::v1::CopyFileRequest;
use disco_runtime_js::HostError;
use disco_runtime_js::cluster::CopyRequest;

use super::errors;
use crate::agent::files::PART_BYTES;
use crate::api::ask;
use crate::node::Node;
use crate::script::blobs;
use crate::script::records::{self, DeploymentState, FileRecord};

/// Puts a file of the deployment on a node.
pub(super) async fn copy(node: &Node, node_id: u64, request: &CopyRequest) -> Result<(), HostError> {
    let path = normal(&request.path_in_project)?;
    let file = find(node, &path)?;
    let content = node.raft().store().read(|store| blobs::read(store, &file));
    let content = bytes::Bytes::from(content.map_err(|error| HostError::from_error(&error).with_code("NOT_FOUND"))?);
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
        };
        ask::copy_file(node, part).await.map_err(|status| errors::status(&status))?;
        offset = end;
        if offset == content.len() {
            return Ok(());
        }
    }
}

/// The file in the deployment that runs on this node; where none does, in the last one that succeeded.
fn find(node: &Node, path: &str) -> Result<FileRecord, HostError> {
    let not_found = |message: String| HostError::new(message).with_code("NOT_FOUND");
    let (id, files) = match node.scripts().deploying() {
        Some(deploying) => (deploying.id, deploying.files.to_vec()),
        None => {
            let deployments = node.raft().store().read(records::deployments).into_iter().rev();
            let last = deployments.map(|found| found.value).find(|one| one.state == DeploymentState::Succeeded);
            let last = last.ok_or_else(|| not_found(format!("there is no `{path}`: nothing was deployed yet")))?;
            (last.id, last.files)
        }
    };
    files.into_iter().find(|file| file.path == path).ok_or_else(|| {
        not_found(format!("there is no `{path}` in deployment {id}; `.discoignore` says which files are not deployed"))
    })
}

/// A path as manifests have it.
fn normal(path: &str) -> Result<String, HostError> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" if !parts.is_empty() => {}
            "." => {}
            "" | ".." => return Err(HostError::invalid(format!("`{path}` is not a path within the project"))),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(HostError::invalid(format!("`{path}` does not name a file of the project")));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn paths_stay_in_the_project() {
        assert_eq!(normal("./web//index.html").unwrap(), "web/index.html");
        assert_eq!(normal("web/./x").unwrap(), "web/x");
        for path in ["", "/etc/passwd", "../x", "a/../../x", ".", "a/.."] {
            assert!(normal(path).is_err(), "{path}");
        }
    }
}
