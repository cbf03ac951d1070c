//! What a session and the daemon send each other: a byte that says what it is, the length in four bytes (big endian), the
//! content.

use serde::de::DeserializeOwned;

use super::{Finish, Session, Size};
use crate::Error;

/// Bytes of a frame's content; a session with its environment is the largest.
const LARGEST: usize = 16 << 20;

/// What the daemon sends to a session.
#[derive(Clone, Debug)]
pub enum Request {
    /// The first one, and only that.
    Start(Box<Session>),
    /// Bytes for the program's standard input.
    Input(Vec<u8>),
    /// No further input comes.
    EndOfInput,
    /// The terminal has this size now.
    Resize(Size),
    /// A signal for the program and its process group, by its name.
    Signal(String),
}

/// What a session answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The program has been executed.
    Started,
    /// What the program wrote.
    Output {
        /// To its standard error.
        error: bool,
        /// At most [`super::PART`].
        bytes: Vec<u8>,
    },
    /// The program, or nothing, has taken this many further bytes of its input.
    Taken(u32),
    /// The last one.
    Ended(Finish),
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    read: usize,
}

// === impl Request ===

impl Request {
    /// As it is sent.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(match self {
            Self::Start(session) => frame(b'S', &serde_json::to_vec(session).map_err(Error::Spec)?),
            Self::Input(bytes) => frame(b'I', bytes),
            Self::EndOfInput => frame(b'E', &[]),
            Self::Resize(size) => frame(b'R', &serde_json::to_vec(size).map_err(Error::Spec)?),
            Self::Signal(name) => frame(b'K', name.as_bytes()),
        })
    }

    fn decode(kind: u8, content: &[u8]) -> Result<Self, Error> {
        Ok(match kind {
            b'S' => Self::Start(json(content)?),
            b'I' => Self::Input(content.to_vec()),
            b'E' => Self::EndOfInput,
            b'R' => Self::Resize(json(content)?),
            b'K' => Self::Signal(String::from_utf8_lossy(content).into_owned()),
            other => return Err(unknown(other)),
        })
    }
}

// === impl Answer ===

impl Answer {
    /// As it is sent.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(match self {
            Self::Started => frame(b's', &[]),
            Self::Output { error: false, bytes } => frame(b'o', bytes),
            Self::Output { error: true, bytes } => frame(b'e', bytes),
            Self::Taken(count) => frame(b't', &count.to_be_bytes()),
            Self::Ended(finish) => frame(b'x', &serde_json::to_vec(finish).map_err(Error::Spec)?),
        })
    }

    fn decode(kind: u8, content: &[u8]) -> Result<Self, Error> {
        Ok(match kind {
            b's' => Self::Started,
            b'o' | b'e' => Self::Output { error: kind == b'e', bytes: content.to_vec() },
            b't' => {
                let count = content.try_into().map_err(|_| damaged("a count has four bytes"))?;
                Self::Taken(u32::from_be_bytes(count))
            }
            b'x' => Self::Ended(json(content)?),
            other => return Err(unknown(other)),
        })
    }
}

// === impl Frames ===

impl Frames {
    /// Adds what was read.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.read));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request, once it is complete.
    ///
    /// # Errors
    /// It is no request.
    pub fn request(&mut self) -> Result<Option<Request>, Error> {
        self.next(Request::decode)
    }

    /// The next answer, once it is complete.
    ///
    /// # Errors
    /// It is no answer.
    pub fn answer(&mut self) -> Result<Option<Answer>, Error> {
        self.next(Answer::decode)
    }

    fn next<T>(&mut self, decode: fn(u8, &[u8]) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let rest = &self.bytes[self.read..];
        let Some((&[kind, a, b, c, d], rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > LARGEST {
            return Err(damaged("a frame is too long"));
        }
        let Some(content) = rest.get(..length) else { return Ok(None) };
        let decoded = decode(kind, content);
        self.read += 5 + length;
        decoded.map(Some)
    }
}

fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(5 + content.len());
    bytes.push(kind);
    bytes.extend(length.to_be_bytes());
    bytes.extend(content);
    bytes
}

fn json<T: DeserializeOwned>(content: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(content).map_err(Error::Spec)
}

fn unknown(kind: u8) -> Error {
    damaged(&format!("no frame begins with byte {kind}"))
}

fn damaged(what: &str) -> Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answers() -> Vec<Answer> {
        vec![
            Answer::Started,
            Answer::Output { error: false, bytes: vec![0, 255, 10] },
            Answer::Output { error: true, bytes: Vec::new() },
            Answer::Taken(70_000),
            Answer::Ended(Finish::Ended { code: None, signal: Some(9) }),
        ]
    }

    #[test]
    fn frames_are_read_in_any_pieces() {
        let bytes: Vec<u8> = answers().iter().flat_map(|answer| answer.encode().unwrap()).collect();
        for size in [1, 2, 3, 7, bytes.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.add(piece);
                while let Some(answer) = frames.answer().unwrap() {
                    found.push(answer);
                }
            }
            assert_eq!(found, answers(), "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut frames = Frames::default();
        frames.add(b"o\xff\xff\xff\xff");
        assert!(frames.answer().is_err());
        let mut frames = Frames::default();
        frames.add(b"?\0\0\0\0");
        assert!(frames.request().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut frames = Frames::default();
            frames.add(&bytes);
            while let Ok(Some(_)) = frames.request() {}
            let mut frames = Frames::default();
            frames.add(&bytes);
            while let Ok(Some(_)) = frames.answer() {}
        }
    }
}
