//! The sockets of echoes: unprivileged where the system lets us, stamped, with as large a receive buffer as it permits.

use super::packet::{Format, reply_type};
use crate::probe::{departure::Departure, stamped::stamps};
use nix::sys::socket::{SetSockOpt as _, sockopt};
use peerlight_proto::series::Family;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io;

/// What the receive buffer should hold.
const RECEIVE_BUFFER: usize = 16 << 20;
/// What the reply to a request and the stamp of when that left take of the receive buffer, which they share: small packets
/// weigh 700 to 1,300 bytes there, by the device that they came from.
const ROOM_FOR_ONE: usize = 2_560;

/// A socket and what goes through it.
pub(super) struct EchoSocket {
    pub(super) socket: Socket,
    pub(super) format: Format,
    /// For how many replies and stamps the receive buffer has room.
    pub(super) room: usize,
}

impl EchoSocket {
    /// For ICMP: a datagram socket, or a raw one where only that is permitted.
    pub(super) fn icmp(departure: &Departure) -> io::Result<Self> {
        let family = departure.family;
        let protocol = match family {
            Family::V4 => Protocol::ICMPV4,
            Family::V6 => Protocol::ICMPV6,
        };
        let (socket, raw) = match Socket::new(domain(family), Type::DGRAM, Some(protocol)) {
            Ok(socket) => (socket, false),
            Err(unprivileged) => match Socket::new(domain(family), Type::RAW, Some(protocol)) {
                Ok(socket) => (socket, true),
                Err(_no_privilege_either) => return Err(unprivileged),
            },
        };
        departure.prepare_bound(&socket)?;
        let identifier = if raw {
            let identifier = rand::random();
            socket.attach_filter(&only_replies_to(identifier, family))?;
            identifier
        } else {
            // The kernel makes the port the identifier and delivers only its replies.
            socket.local_addr()?.as_socket().map_or(0, |address| address.port())
        };
        let with_ip_header = raw && family == Family::V4;
        Self::stamped(socket, family, Format::Icmp { family, identifier, with_ip_header })
    }

    /// For UDP.
    pub(super) fn udp(departure: &Departure) -> io::Result<Self> {
        let family = departure.family;
        let socket = Socket::new(domain(family), Type::DGRAM, Some(Protocol::UDP))?;
        if family == Family::V6 {
            socket.set_only_v6(true)?;
        }
        departure.prepare_bound(&socket)?;
        Self::stamped(socket, family, Format::Udp)
    }

    fn stamped(socket: Socket, family: Family, format: Format) -> io::Result<Self> {
        if sockopt::RcvBufForce.set(&socket, &RECEIVE_BUFFER).is_err() {
            // Without the privilege the kernel caps it at net.core.rmem_max.
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        sockopt::Timestamping.set(&socket, &stamps())?;
        match family {
            Family::V4 => sockopt::Ipv4RecvErr.set(&socket, &true)?,
            Family::V6 => sockopt::Ipv6RecvErr.set(&socket, &true)?,
        }
        let room = (socket.recv_buffer_size()? / ROOM_FOR_ONE).max(1);
        Ok(Self { socket, format, room })
    }

    /// Has the kernel number the stamps of sent packets from 0 again: whether it counted a packet that failed depends on
    /// its version.
    pub(super) fn restart_keys(&self) -> io::Result<()> {
        let mut without = stamps();
        without.remove(nix::sys::socket::TimestampingFlag::SOF_TIMESTAMPING_OPT_ID);
        sockopt::Timestamping.set(&self.socket, &without)?;
        Ok(sockopt::Timestamping.set(&self.socket, &stamps())?)
    }
}

fn domain(family: Family) -> Domain {
    match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    }
}

/// A filter for raw sockets, which see all ICMP of the machine: echo replies with our identifier. Unlike `ICMP_FILTER`,
/// which knows types alone, it keeps the replies to other programs out.
fn only_replies_to(identifier: u16, family: Family) -> [SockFilter; 7] {
    /// Classic BPF (`linux/bpf_common.h`).
    const LOAD_X_FROM_IP_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_X_IMMEDIATE: u16 = 0x01;
    const LOAD_BYTE_AT_X: u16 = 0x50;
    const LOAD_HALF_AT_X: u16 = 0x48;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let skip_header = match family {
        Family::V4 => SockFilter::new(LOAD_X_FROM_IP_HEADER_LENGTH, 0, 0, 0),
        // Raw sockets of IPv6 begin at the ICMP header.
        Family::V6 => SockFilter::new(LOAD_X_IMMEDIATE, 0, 0, 0),
    };
    [
        skip_header,
        SockFilter::new(LOAD_BYTE_AT_X, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, reply_type(family).into()),
        SockFilter::new(LOAD_HALF_AT_X, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, identifier.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
