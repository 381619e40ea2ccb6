//! Linux: both directions are stamped by the kernel.

use super::Arrival;
use crate::probe::stamped::{Notice, Room, notice, receive, stamp};
use std::io::{self, ErrorKind};
use tokio::{io::Interest, net::UdpSocket};

/// More notices than one query can have.
const MAX_NOTICES: usize = 8;

/// What the kernel stamps of one socket.
pub(super) struct Stamps {
    room: Box<Room>,
}

impl Stamps {
    /// Has `socket` stamped from now on.
    pub(super) fn of(socket: &UdpSocket) -> io::Result<Self> {
        stamp(socket)?;
        Ok(Self { room: Box::new(Room::new()) })
    }

    /// The next packet.
    pub(super) async fn receive(&mut self, socket: &UdpSocket) -> io::Result<Arrival> {
        let room = &mut self.room;
        // An ICMP error makes a socket no more readable, but it is what the next read says.
        socket
            .async_io(Interest::READABLE | Interest::ERROR, || {
                let received = receive(socket, room, usize::MAX)?;
                let received = received.ok_or_else(|| io::Error::from(ErrorKind::WouldBlock))?;
                Ok(Arrival { packet: received.packet.to_vec(), stamp: received.kernel })
            })
            .await
    }

    /// When the query left, in nanoseconds of the kernel's clock.
    pub(super) fn sent(&mut self, socket: &UdpSocket) -> Option<i64> {
        for _ in 0..MAX_NOTICES {
            match notice(socket, &mut self.room) {
                Ok(Some(Notice::Sent { at, .. })) => return Some(at),
                Ok(Some(Notice::Other)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        None
    }
}
