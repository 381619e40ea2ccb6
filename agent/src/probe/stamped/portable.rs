//! Anywhere: the same interface without stamps. What ICMP says comes as an error of the next call, if at all.

use super::{MAX_PACKET, Notice, Received};
use peerlight_proto::series::Family;
use socket2::Socket;
use std::{io, net::SocketAddr};
use tokio::{io::Interest, net::UdpSocket};

/// A datagram socket without stamps.
pub(crate) struct StampedSocket(UdpSocket);

/// Readiness; trying to read clears it.
pub(crate) struct Ready;

impl Ready {
    /// Nothing is left to clear.
    #[expect(clippy::unused_self, reason = "the interface of the stamped sockets")]
    pub(crate) fn clear_ready(&mut self) {}
}

#[cfg(not(target_os = "linux"))]
impl super::Room {
    /// An empty room.
    pub(crate) fn new() -> Self {
        Self { packet: [0; MAX_PACKET] }
    }
}

impl StampedSocket {
    /// Makes a socket non-blocking; needs a tokio runtime.
    pub(crate) fn new(socket: Socket, _family: Family, _busy: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into()).map(Self)
    }

    /// Sends a packet, to `to` unless the socket is connected.
    pub(crate) fn send(&self, packet: &[u8], to: Option<SocketAddr>) -> io::Result<u32> {
        match to {
            Some(to) => self.0.try_send_to(packet, to),
            None => self.0.try_send(packet),
        }
        .map(|_length| 0)
    }

    /// Waits until there is a packet or an error.
    pub(crate) async fn ready(&self) -> io::Result<Ready> {
        self.0.ready(Interest::READABLE | Interest::ERROR).await.map(|_readiness| Ready)
    }

    /// There are no notices.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the interface of the stamped sockets")]
    pub(crate) fn notice<'room>(&self, _room: &'room mut super::Room) -> io::Result<Option<Notice<'room>>> {
        Ok(None)
    }

    /// The next packet, or none for now.
    pub(crate) fn receive<'room>(&self, room: &'room mut super::Room) -> io::Result<Option<Received<'room>>> {
        match self.0.try_recv_from(&mut room.packet) {
            Ok((read, from)) => {
                let user = crate::probe::exchange::now();
                let packet = &room.packet[..read.min(MAX_PACKET)];
                Ok(Some(Received { packet, from: Some(from), kernel: None, user }))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_come_in_without_stamps() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.connect(&peer.local_addr().unwrap().into()).unwrap();
        let socket = StampedSocket::new(socket, Family::V4, false).unwrap();
        let mut room = super::super::Room::new();
        // tokio reports a socket writable only after it has seen it so.
        socket.0.writable().await.unwrap();
        assert_eq!(socket.send(b"there", None).unwrap(), 0);
        let mut buffer = [0; 16];
        let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..length], socket.notice(&mut room).unwrap()), (&b"there"[..], None));
        peer.send_to(b"back", from).await.unwrap();
        loop {
            socket.ready().await.unwrap().clear_ready();
            if let Some(received) = socket.receive(&mut room).unwrap() {
                assert_eq!((received.packet, received.kernel), (&b"back"[..], None));
                assert_eq!(received.from, Some(peer.local_addr().unwrap()));
                break;
            }
        }
    }
}
