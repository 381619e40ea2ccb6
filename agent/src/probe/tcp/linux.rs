//! Linux: `TCP_INFO`, and source ports that are chosen at connect.

use super::Facts;
use nix::sys::socket::{SetSockOpt as _, sockopt};
use peerlight_proto::series::Clock;
use socket2::Socket;
use std::{io, mem, os::fd::AsRawFd as _, time::Duration};
use tokio::net::TcpStream;

/// The kernel's estimate times connects.
pub(super) const fn clock() -> Clock {
    Clock::TcpInfo
}

/// What the kernel knows about a fresh connection.
pub(super) fn facts(stream: &TcpStream) -> Option<Facts> {
    let info = tcp_info(stream).ok()?;
    Some(Facts {
        round_trip: (info.tcpi_rtt > 0).then(|| Duration::from_micros(info.tcpi_rtt.into())),
        retransmitted: info.tcpi_total_retrans > 0,
    })
}

/// Lets the kernel choose the source port when it knows the target, too: a port then serves many targets, and probes do
/// not run out of them. Where the option is missing the port is chosen at once.
pub(super) fn share_ports(socket: &Socket) {
    let _unsupported = sockopt::IpBindAddressNoPort.set(socket, &true);
}

/// Whether a connect goes on in the background.
pub(super) fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

#[expect(unsafe_code, reason = "no safe wrapper reads TCP_INFO")]
fn tcp_info(stream: &TcpStream) -> io::Result<libc::tcp_info> {
    // SAFETY: tcp_info is plain integers, for which zeros are valid.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut length = libc::socklen_t::try_from(mem::size_of_val(&info)).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open as long as `stream` is borrowed; the kernel writes at most `length` bytes to `info`,
    // which is that long.
    let status = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    if status == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}
