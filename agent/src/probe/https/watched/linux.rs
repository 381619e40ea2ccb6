//! Linux: with the kernel's stamps of what came in, and of what went out by the socket's error queue.

use super::Notes;
use crate::probe::stamped::{Notice, Room, notice, receive, stamp, stamp_now};
use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{Interest, ReadBuf},
    net::TcpStream,
};

/// At most this much is read at once: less than a segment, so that the stamp of the first read is the first segment's.
const MAX_READ: usize = 1_024;

/// Reads from a stream and notes it.
pub(super) struct Reader {
    room: Box<Room>,
}

impl Reader {
    /// A reader of `stream`, from which nothing was read yet and to which nothing was written.
    pub(super) fn new(stream: &TcpStream) -> Self {
        // Without stamps there is still this process's clock.
        let _unsupported = stamp(stream);
        Self { room: Box::new(Room::new()) }
    }

    /// Reads what there is.
    pub(super) fn poll_read(
        &mut self,
        stream: &TcpStream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        notes: &Notes,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(stream.poll_read_ready(context))?;
            let read = stream.try_io(Interest::READABLE, || {
                let at_most = buffer.remaining().min(MAX_READ);
                receive(stream, &mut self.room, at_most)?.map_or_else(
                    || Err(io::ErrorKind::WouldBlock.into()),
                    |received| {
                        buffer.put_slice(received.packet);
                        Ok((received.packet.len(), received.kernel))
                    },
                )
            });
            match read {
                Ok((bytes, kernel)) => {
                    // What went out before it has been stamped by now.
                    self.read_notices(stream, notes);
                    if bytes > 0 {
                        notes.came_in(kernel, kernel.map_or(Duration::ZERO, age));
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn read_notices(&mut self, stream: &TcpStream, notes: &Notes) {
        while let Ok(Some(notice)) = notice(stream, &mut self.room) {
            if let Notice::Sent { key, at } = notice {
                notes.left(key, at);
            }
        }
    }
}

/// How long ago the kernel stamped something.
fn age(stamp: i64) -> Duration {
    Duration::from_nanos(u64::try_from(stamp_now() - stamp).unwrap_or(0))
}
