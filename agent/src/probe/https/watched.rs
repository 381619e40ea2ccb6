//! A TCP stream that notes when bytes went out and came in: what tells the network's time from this machine's. Kernel
//! stamps of received bytes will come in here.

use crate::probe::exchange::now;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
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
}

/// What a watched stream noted; shared with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    passages: Vec<Passage>,
    last_in: Option<Instant>,
}

impl Notes {
    /// Takes the passages since the last time.
    pub(super) fn take(&self) -> Vec<Passage> {
        std::mem::take(&mut self.lock().passages)
    }

    /// When bytes came in last.
    pub(super) fn last_in(&self) -> Option<Instant> {
        self.lock().last_in
    }

    fn note(&self, direction: Direction) {
        let at = now();
        let mut noted = self.lock();
        if direction == Direction::In {
            noted.last_in = Some(at);
        }
        if noted.passages.len() < MAX_PASSAGES {
            noted.passages.push(Passage { direction, at });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    notes: Notes,
}

impl Watched {
    /// Watches `stream`.
    pub(super) fn new(stream: TcpStream, notes: Notes) -> Self {
        Self { stream, notes }
    }

    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = written {
            self.notes.note(Direction::Out);
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.notes.note(Direction::In);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.noted(written)
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
