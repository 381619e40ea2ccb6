//! A TCP stream that notes when bytes went out and came in, by this process's clock and, where the platform can, by the
//! kernel's: what tells the network's time from this machine's.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use portable as platform;

use crate::probe::exchange::now;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// How many passages are kept; what is needed comes first.
const MAX_PASSAGES: usize = 256;

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To this machine.
    In,
    /// From it.
    Out,
}

/// Bytes that crossed between this process and its kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    /// Which way.
    pub(super) direction: Direction,
    /// When.
    pub(super) at: Instant,
    /// When the last of them crossed between the kernel and the network, in nanoseconds of the kernel's clock.
    pub(super) kernel: Option<i64>,
    /// The offset in the stream of the last of them, modulo 2³²; of bytes that went out.
    last_byte: u32,
}

impl Passage {
    /// Bytes that crossed at `at`, and on the network at `kernel`.
    pub(super) const fn new(direction: Direction, at: Instant, kernel: Option<i64>) -> Self {
        Self { direction, at, kernel, last_byte: 0 }
    }
}

/// What a watched stream noted; shared with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    passages: Vec<Passage>,
    last_in: Option<Passage>,
    bytes_out: u32,
    held_up: Duration,
}

impl Notes {
    /// Takes the passages since the last time.
    pub(super) fn take(&self) -> Vec<Passage> {
        std::mem::take(&mut self.lock().passages)
    }

    /// The last bytes that came in.
    pub(super) fn last_in(&self) -> Option<Passage> {
        self.lock().last_in
    }

    /// For how long in all bytes that had come in were not taken, because this process did not run.
    pub(super) fn held_up(&self) -> Duration {
        self.lock().held_up
    }

    /// Bytes came in that had waited in the socket for so long.
    fn came_in(&self, kernel: Option<i64>, waited: Duration) {
        let passage = Passage::new(Direction::In, now(), kernel);
        let mut noted = self.lock();
        // What waited together waited once.
        let since = noted.last_in.map_or(waited, |last| passage.at.saturating_duration_since(last.at));
        noted.held_up += waited.min(since);
        noted.last_in = Some(passage);
        noted.keep(passage);
    }

    fn went_out(&self, at: Instant, bytes: usize) {
        let mut noted = self.lock();
        // The kernel counts modulo 2³², too.
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2³² is meant")]
        let end = noted.bytes_out.wrapping_add(bytes as u32);
        noted.bytes_out = end;
        noted.keep(Passage { last_byte: end.wrapping_sub(1), ..Passage::new(Direction::Out, at, None) });
    }

    /// The kernel says when the byte at this offset left.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only this kernel says it"))]
    fn left(&self, last_byte: u32, kernel: i64) {
        let mut noted = self.lock();
        let is_it =
            |passage: &&mut Passage| passage.direction == Direction::Out && passage.last_byte == last_byte;
        // What was sent again is told again; the first time counts.
        if let Some(passage) = noted.passages.iter_mut().find(is_it) {
            passage.kernel.get_or_insert(kernel);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn keep(&mut self, passage: Passage) {
        if self.passages.len() < MAX_PASSAGES {
            self.passages.push(passage);
        }
    }
}

/// The stream.
pub(super) struct Watched {
    stream: TcpStream,
    reader: platform::Reader,
    notes: Notes,
}

impl Watched {
    /// Watches `stream` from its first byte.
    pub(super) fn new(stream: TcpStream, notes: Notes) -> Self {
        let reader = platform::Reader::new(&stream);
        Self { stream, reader, notes }
    }

    /// Writes and notes it with the time before: the kernel's comes later.
    fn noted(
        &mut self,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let at = now();
        let written = write(Pin::new(&mut self.stream));
        if let Poll::Ready(Ok(bytes @ 1..)) = written {
            self.notes.went_out(at, bytes);
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, reader, notes } = self.get_mut();
        reader.poll_read(stream, context, buffer, notes)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.noted(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.noted(|stream| stream.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
