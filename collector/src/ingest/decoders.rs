//! Decoders: as many as ever decode at once, each of which remembers how a fleet describes its series.

use peerlight_proto::codec::{DecodeError, Decoded, Decoder};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many large batches are decoded at once, at up to a few dozen megabytes each.
const LARGE: usize = 4;

/// The idle ones.
#[derive(Debug)]
pub struct Decoders {
    idle: Mutex<Vec<Decoder>>,
    large: Semaphore,
}

impl Default for Decoders {
    fn default() -> Self {
        Self { idle: Mutex::default(), large: Semaphore::new(LARGE) }
    }
}

impl Decoders {
    /// Waits until a large batch may be decoded, and holds its place. None if nobody may any more, which is never.
    pub(super) async fn large(&self) -> Option<SemaphorePermit<'_>> {
        self.large.acquire().await.ok()
    }

    /// Reads a batch.
    pub fn decode(&self, bytes: &[u8]) -> Result<Decoded, DecodeError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decoder = idle().pop().unwrap_or_default();
        let read = decoder.decode(bytes);
        idle().push(decoder);
        read
    }
}
