//! gRPC's frames: a flag, four bytes of length, the message; and the status at the end.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{Code, Status};

/// Flag and length.
const HEAD: usize = 5;

/// Frames a message for the services.
pub(super) fn frame(message: &[u8]) -> Result<Bytes, Status> {
    let length = u32::try_from(message.len()).map_err(|_| Status::invalid_argument("request too large"))?;
    let mut frame = BytesMut::with_capacity(HEAD + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// The messages of an answer, in order.
pub(super) struct Frames {
    body: Body,
    read: BytesMut,
}

// === impl Frames ===

impl Frames {
    pub(super) fn new(body: Body) -> Self {
        Self { body, read: BytesMut::new() }
    }

    /// The next message; `None` after the last one, if the call succeeded.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.take() {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.read.extend_from_slice(&data),
                    Err(frame) => {
                        let status = frame.trailers_ref().and_then(Status::from_header_map);
                        if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
                            return Err(status);
                        }
                    }
                },
                Some(Err(error)) => return Err(Status::internal(error.to_string())),
                None => return Ok(None),
            }
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let length = self.read.get(1..HEAD)?.get_u32() as usize;
        if self.read.len() < HEAD + length {
            return None;
        }
        self.read.advance(HEAD);
        Some(self.read.split_to(length).freeze())
    }
}
