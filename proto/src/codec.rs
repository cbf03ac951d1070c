//! How messages are encoded: as by [`tonic_prost::ProstCodec`], with smaller buffers.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Initial size of a buffer in bytes; it grows with the message. Each end of each request has two, and streams keep
/// them for as long as they are open. tonic's own 8 KiB would be a third of the memory of such a stream.
const BUFFER: usize = 1024;
/// Encoded bytes that are sent together before further messages are encoded: as in tonic.
const TOGETHER: usize = 32 * 1024;

/// The codec of all services.
#[derive(Debug, Clone)]
pub struct SmallCodec<T, U> {
    messages: PhantomData<(T, U)>,
}

// === impl SmallCodec ===

impl<T, U> Default for SmallCodec<T, U> {
    fn default() -> Self {
        Self { messages: PhantomData }
    }
}

impl<T, U> Codec for SmallCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(BUFFER, TOGETHER))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(BUFFER, TOGETHER))
    }
}
