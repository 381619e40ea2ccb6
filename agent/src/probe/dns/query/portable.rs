//! Anywhere: nothing is stamped; the query is timed by this process's clock.

use super::Arrival;
use std::io;
use tokio::net::UdpSocket;

/// The largest packet that is read whole.
const MAX_PACKET: usize = 2_048;

/// No stamps.
pub(super) struct Stamps;

impl Stamps {
    /// Nothing to prepare.
    #[expect(clippy::unnecessary_wraps, reason = "stamps can fail elsewhere")]
    pub(super) fn of(_socket: &UdpSocket) -> io::Result<Self> {
        Ok(Self)
    }

    /// The next packet.
    pub(super) async fn receive(&mut self, socket: &UdpSocket) -> io::Result<Arrival> {
        let mut packet = vec![0; MAX_PACKET];
        let length = socket.recv(&mut packet).await?;
        packet.truncate(length);
        Ok(Arrival { packet, stamp: None })
    }

    /// Unknown.
    #[expect(clippy::unused_self, reason = "stamps are read from it elsewhere")]
    pub(super) fn sent(&mut self, _socket: &UdpSocket) -> Option<i64> {
        None
    }
}
