//! A node's reports to the leader, through one request for all of them.
//!
//! A separate request for each costs both nodes several times as much as its content, twice a second for each node of
//! an idle cluster (docs/benchmarks.md).

use disco_proto::v1::{ReportRequest, ReportResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{MemberClient, RemoteError};

/// An open request to the leader. After an error, or a wait that was abandoned, it must be dropped: the answer to one
/// report would be taken for that of the next.
#[derive(Debug)]
pub struct ReportStream {
    reports: mpsc::Sender<ReportRequest>,
    answers: Streaming<ReportResponse>,
}

// === impl ReportStream ===

impl ReportStream {
    /// Opens the request with its first report, and returns the answer.
    ///
    /// # Errors
    /// See [`RemoteError`]; its [`RemoteError::is_unimplemented`] if the node accepts only separate reports.
    pub async fn open(client: MemberClient, first: ReportRequest) -> Result<(Self, ReportResponse), RemoteError> {
        let (reports, receiver) = mpsc::channel(1);
        // In the queue before the request begins, so that both take one round trip.
        let _ = reports.try_send(first);
        let answers = client.into_inner().report_stream(ReceiverStream::new(receiver)).await?.into_inner();
        let mut stream = Self { reports, answers };
        let answer = stream.answer().await?;
        Ok((stream, answer))
    }

    /// Reports once more.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn report(&mut self, report: ReportRequest) -> Result<ReportResponse, RemoteError> {
        // If the receiver is gone the answers have the reason.
        let _ = self.reports.send(report).await;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<ReportResponse, RemoteError> {
        self.answers.message().await?.ok_or_else(|| RemoteError::unavailable("the node accepts no more reports"))
    }
}
