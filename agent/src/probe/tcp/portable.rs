//! Anywhere: this process's clock alone.

use super::Facts;
use peerlight_proto::series::Clock;
use socket2::Socket;
use std::io;
use tokio::net::TcpStream;

/// This process times connects.
pub(super) const fn clock() -> Clock {
    Clock::User
}

/// Nothing is known.
pub(super) fn facts(_stream: &TcpStream) -> Option<Facts> {
    None
}

/// Ports are chosen at once.
pub(super) fn share_ports(_socket: &Socket) {}

/// Whether a connect goes on in the background.
pub(super) fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}
