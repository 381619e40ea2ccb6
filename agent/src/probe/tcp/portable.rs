//! Anywhere: this process's clock alone.

use super::Facts;
use socket2::Socket;
use std::io;
use tokio::net::TcpStream;

/// Nothing is known.
pub(super) fn facts(_stream: &TcpStream) -> Option<Facts> {
    None
}

/// Ports are chosen at once.
pub(super) fn share_ports(_socket: &Socket) {}

/// Whether a connect goes on in the background.
#[cfg(unix)]
pub(super) fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

/// Windows says that it would block.
#[cfg(not(unix))]
pub(super) fn is_in_progress(_error: &io::Error) -> bool {
    false
}
