//! Contents of programs' files, from node to node.

use std::time::Duration;

use disco_proto::v1::{
    ArtifactPart, ArtifactProgress, HoldArtifactRequest, MissingArtifactsRequest, MissingArtifactsResponse,
    ReadArtifactRequest,
};
use futures_util::{Stream, TryStreamExt};
use tonic::Request;

use super::{MemberClient, RemoteError};

// === impl MemberClient ===

impl MemberClient {
    /// Requests which contents are missing.
    ///
    /// # Errors
    /// See [`RemoteError`], here and below.
    pub async fn missing_artifacts(
        &self,
        message: MissingArtifactsRequest,
        limit: Duration,
    ) -> Result<MissingArtifactsResponse, RemoteError> {
        let mut request = Request::new(message);
        request.set_timeout(limit);
        Ok(self.clone().into_inner().missing_artifacts(request).await?.into_inner())
    }

    /// Makes the node fetch a content. The stream ends once it is on disk.
    pub async fn hold_artifact(
        &self,
        message: HoldArtifactRequest,
    ) -> Result<impl Stream<Item = Result<ArtifactProgress, RemoteError>> + Send + Unpin + 'static, RemoteError> {
        let progress = self.clone().into_inner().hold_artifact(message).await?.into_inner();
        Ok(progress.map_err(RemoteError::from))
    }

    /// Reads a content.
    pub async fn read_artifact(
        &self,
        message: ReadArtifactRequest,
    ) -> Result<impl Stream<Item = Result<ArtifactPart, RemoteError>> + Send + Unpin + 'static, RemoteError> {
        let parts = self.clone().into_inner().read_artifact(message).await?.into_inner();
        Ok(parts.map_err(RemoteError::from))
    }
}
