//! Anywhere: the same interface without stamps. What ICMP says comes as an error of the next call, if at all.

use super::{MAX_PACKET, Notice, Received};
use peerlight_proto::series::Family;
use socket2::Socket;
use std::{io, net::SocketAddr};
use tokio::{io::Interest, net::UdpSocket};

/// A datagram socket without stamps: tokio says when to read, the reading goes straight to the socket, because tokio
/// would hold back errors that come without a packet.
pub(crate) struct StampedSocket {
    socket: std::net::UdpSocket,
    readiness: UdpSocket,
}

/// Readiness that is to be cleared before the socket is drained.
pub(crate) struct Ready<'a>(&'a UdpSocket);

impl Ready<'_> {
    /// Waits for news the next time.
    pub(crate) fn clear_ready(&mut self) {
        let drained = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _cleared = self.0.try_io(Interest::READABLE, drained);
    }
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
        let socket: std::net::UdpSocket = socket.into();
        Ok(Self { readiness: UdpSocket::from_std(socket.try_clone()?)?, socket })
    }

    /// Sends a packet, to `to` unless the socket is connected.
    pub(crate) fn send(&self, packet: &[u8], to: Option<SocketAddr>) -> io::Result<u32> {
        match to {
            Some(to) => self.socket.send_to(packet, to),
            None => self.socket.send(packet),
        }
        .map(|_length| 0)
    }

    /// Waits until there is a packet. An error alone may go unnoticed until the last look at the deadline.
    pub(crate) async fn ready(&self) -> io::Result<Ready<'_>> {
        self.readiness.readable().await?;
        Ok(Ready(&self.readiness))
    }

    /// There are no notices.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the interface of the stamped sockets")]
    pub(crate) fn notice<'room>(&self, _room: &'room mut super::Room) -> io::Result<Option<Notice<'room>>> {
        Ok(None)
    }

    /// The next packet, or none for now.
    pub(crate) fn receive<'room>(&self, room: &'room mut super::Room) -> io::Result<Option<Received<'room>>> {
        match self.socket.recv_from(&mut room.packet) {
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
