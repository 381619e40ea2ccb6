//! Datagram sockets that tell when a packet passed the kernel, and what the network said about packets sent: one
//! interface, with stamps on Linux and without elsewhere.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;

use peerlight_proto::series::Clock;
use std::{net::SocketAddr, time::Instant};

#[cfg(target_os = "linux")]
pub(crate) use linux::{StampedSocket, notice, receive, stamp_stream};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::StampedSocket;

/// The clock that times what goes through these sockets.
pub(crate) const CLOCK: Clock = if cfg!(target_os = "linux") { Clock::Kernel } else { Clock::User };

/// The largest packet that is read whole.
const MAX_PACKET: usize = 2_048;

/// Room for one packet, kept between reads.
pub(crate) struct Room {
    packet: [u8; MAX_PACKET],
    #[cfg(target_os = "linux")]
    control: Vec<u8>,
}

/// What the kernel says about packets that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice<'room> {
    /// The packet of this key left at this time, in nanoseconds of the kernel's clock.
    Sent {
        /// As [`StampedSocket::send`] gave it.
        key: u32,
        /// When.
        at: i64,
    },
    /// A router or the target said by ICMP that a packet cannot be delivered.
    Unreachable {
        /// The ICMP code.
        code: u8,
        /// As much of the packet, from its transport header, as came back.
        quoted: &'room [u8],
    },
    /// Anything else.
    Other,
}

/// A packet that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received<'room> {
    /// What it holds.
    pub(crate) packet: &'room [u8],
    /// Who sent it.
    pub(crate) from: Option<SocketAddr>,
    /// When the kernel received it, in nanoseconds of its clock.
    pub(crate) kernel: Option<i64>,
    /// When this process did.
    pub(crate) user: Instant,
}

/// What an unreachable code means, in words (RFC 792, RFC 4443).
pub(crate) fn describe_unreachable(code: u8, v6: bool) -> String {
    let meaning = match (v6, code) {
        (_, 0) => "no route to the network",
        (false, 1) | (true, 3) => "host or address unreachable",
        (false, 2) => "protocol unreachable",
        (false, 3) | (true, 4) => "port unreachable",
        (false, 9 | 10 | 13) | (true, 1) => "administratively prohibited",
        _ => "unreachable",
    };
    format!("ICMP says {meaning} (code {code})")
}
