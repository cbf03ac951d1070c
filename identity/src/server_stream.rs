//! An accepted connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::certificate;
use crate::clock::unix_now;
use crate::refusals::Refusals;
use crate::role::PeerIdentity;
use crate::tls::HTTP1;

/// The beginning of a connection of HTTP/2 (RFC 9113, 3.4) that no request of HTTP/1.1 has.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Bytes that are read from a connection before others get their turn. Without that, a burst of small messages is taken
/// from the socket as a whole before the first of them is handled, and each costs more memory than its bytes.
const READ_AT_ONCE: usize = 16 * 1024;

/// Information for handlers about a request's connection; see [`peer`](crate::peer).
#[derive(Debug, Clone)]
pub struct ConnectInfo {
    /// The owner of the peer's certificate.
    pub peer: Arc<PeerIdentity>,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// An authenticated connection. It ends when the peer's certificate expires or its signing key is retired.
#[derive(Debug)]
pub struct ServerStream {
    stream: TlsStream<TcpStream>,
    /// What the peer has sent before the first read; see [`Self::first_bytes`].
    begun: Vec<u8>,
    info: ConnectInfo,
    signers: Vec<String>,
    refusals: Arc<Refusals>,
    /// The version of `refusals` at the last comparison.
    generation: Option<u64>,
    /// Bytes read since others had their turn.
    read: usize,
    _place: OwnedSemaphorePermit,
}

impl ServerStream {
    pub(crate) fn new(
        stream: TlsStream<TcpStream>,
        remote: SocketAddr,
        refusals: Arc<Refusals>,
        place: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let (leaf, rest) = chain.split_first().ok_or_else(|| io::Error::other("no certificate was presented"))?;
        let peer = Arc::new(PeerIdentity::from_der(leaf).map_err(io::Error::other)?);
        let signers = rest
            .iter()
            .map(|signer| certificate::parse(signer).map(|signer| certificate::serial(&signer)))
            .collect::<Result<_, _>>()
            .map_err(io::Error::other)?;
        let info = ConnectInfo { peer, remote };
        Ok(Self { stream, begun: Vec::new(), info, signers, refusals, generation: None, read: 0, _place: place })
    }

    /// The peer and its address.
    #[must_use]
    pub fn info(&self) -> &ConnectInfo {
        &self.info
    }

    /// Whether the other end chose HTTP/1.1; else it speaks HTTP/2.
    #[must_use]
    pub fn speaks_http1(&self) -> bool {
        match self.stream.get_ref().1.alpn_protocol() {
            Some(protocol) => protocol == HTTP1,
            None => !PREFACE.starts_with(&self.begun),
        }
    }

    /// If the peer has not named a protocol, waits for its first bytes, which tell: a client of HTTP/1.1 would not understand the frame
    /// with which a server of HTTP/2 begins.
    ///
    /// # Errors
    /// The connection broke, or was closed.
    pub(crate) async fn first_bytes(&mut self) -> io::Result<()> {
        if self.stream.get_ref().1.alpn_protocol().is_some() {
            return Ok(());
        }
        while PREFACE.starts_with(&self.begun) && self.begun.len() < PREFACE.len() {
            let mut byte = [0];
            if self.stream.read(&mut byte).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.begun.push(byte[0]);
        }
        Ok(())
    }

    fn still_trusted(&mut self) -> io::Result<()> {
        let generation = self.refusals.generation();
        if self.generation != Some(generation) {
            if self.signers.iter().any(|signer| self.refusals.contains(signer)) {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the peer's signing key was retired"));
            }
            self.generation = Some(generation);
        }
        if unix_now() > self.info.peer.not_after {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the peer's certificate has expired"));
        }
        Ok(())
    }
}

impl Connected for ServerStream {
    type ConnectInfo = ConnectInfo;

    fn connect_info(&self) -> ConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.still_trusted()?;
        if !self.begun.is_empty() {
            let count = self.begun.len().min(buffer.remaining());
            buffer.put_slice(&self.begun[..count]);
            self.begun.drain(..count);
            return Poll::Ready(Ok(()));
        }
        if self.read >= READ_AT_ONCE {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.read = if polled.is_pending() { 0 } else { self.read + buffer.filled().len() - before };
        polled
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
