//! Anywhere: nothing tells for how long a packet has been there.

use super::Arrival;
use std::{io, net::UdpSocket};

/// The error of a family that the machine lacks.
#[cfg(unix)]
pub(super) const NO_SUCH_FAMILY: i32 = libc::EAFNOSUPPORT;
/// The error of a family that the machine lacks: `WSAEAFNOSUPPORT`.
#[cfg(not(unix))]
pub(super) const NO_SUCH_FAMILY: i32 = 10_047;

/// There are no stamps.
#[expect(clippy::unnecessary_wraps, reason = "the interface of the stamped reflector")]
pub(super) fn stamp(_socket: &UdpSocket) -> io::Result<()> {
    Ok(())
}

/// The next packet, or an error after the socket's time-out.
pub(super) fn receive(socket: &UdpSocket, room: &mut [u8]) -> io::Result<Option<Arrival>> {
    let (length, from) = socket.recv_from(room)?;
    Ok(Some(Arrival { length, from, age: None }))
}
