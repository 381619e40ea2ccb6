//! Anywhere: this process's clock alone.

use super::Notes;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::TcpStream,
};

/// Reads from a stream and notes it.
pub(super) struct Reader;

impl Reader {
    /// A reader of `stream`.
    pub(super) fn new(_stream: &TcpStream) -> Self {
        Self
    }

    /// Reads what there is.
    #[expect(clippy::unused_self, reason = "the interface of the systems that stamp")]
    pub(super) fn poll_read(
        &mut self,
        stream: &mut TcpStream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        notes: &Notes,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            notes.came_in(None, Duration::ZERO);
        }
        read
    }
}
