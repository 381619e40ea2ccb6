//! Linux: `SO_TIMESTAMPING` software stamps in both directions. Stamps of what was sent come through a socket's error queue.

use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, RecvMsg, SetSockOpt as _, SockaddrStorage, TimestampingFlag,
        Timestamps, recvmsg, sockopt,
    },
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime},
};
use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd},
};

/// The largest packet that is read whole.
const MAX_PACKET: usize = 2_048;

/// Room for one packet, kept between reads.
pub(crate) struct Room {
    packet: [u8; MAX_PACKET],
    control: Vec<u8>,
}

/// What the kernel says about what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The bytes of this key left at this time, in nanoseconds of the kernel's clock.
    Sent {
        /// The offset of the last byte of the write, or the number of the datagram.
        key: u32,
        /// When.
        at: i64,
    },
    /// Anything else.
    Other,
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received<'room> {
    /// What it holds.
    pub(crate) packet: &'room [u8],
    /// When the kernel received it, in nanoseconds of its clock.
    pub(crate) kernel: Option<i64>,
}

impl Room {
    /// An empty room.
    pub(crate) fn new() -> Self {
        let control = nix::cmsg_space!(Timestamps, (libc::sock_extended_err, libc::sockaddr_in6), [u8; 64]);
        Self { packet: [0; MAX_PACKET], control }
    }
}

/// Has the kernel stamp what goes through a TCP connection, from its first byte, or through another connected socket.
pub(crate) fn stamp(socket: &impl AsFd) -> io::Result<()> {
    Ok(sockopt::Timestamping.set(socket, &stamps())?)
}

/// The next notice about a connection, or none for now.
pub(crate) fn notice(socket: &impl AsRawFd, room: &mut Room) -> io::Result<Option<Notice>> {
    let (mut stamp, mut error) = (None, None);
    let mut parts = [IoSliceMut::new(&mut room.packet)];
    let Some(message) = receive_message(socket, &mut parts, &mut room.control, MsgFlags::MSG_ERRQUEUE)?
    else {
        return Ok(None);
    };
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmTimestampsns(stamps) = control {
            stamp = nanos(stamps.system);
        } else if let ControlMessageOwned::Ipv4RecvErr(said, _) | ControlMessageOwned::Ipv6RecvErr(said, _) =
            control
        {
            error = Some(said);
        }
    }
    let sent = error.filter(|error| error.ee_origin == libc::SO_EE_ORIGIN_TIMESTAMPING).zip(stamp);
    Ok(Some(sent.map_or(Notice::Other, |(error, at)| Notice::Sent { key: error.ee_data, at })))
}

/// Up to `at_most` bytes of a connection with the stamp of the last of them, or a datagram with its own; or none for now.
pub(crate) fn receive<'room>(
    socket: &impl AsRawFd,
    room: &'room mut Room,
    at_most: usize,
) -> io::Result<Option<Received<'room>>> {
    let mut kernel = None;
    let read = {
        let mut parts = [IoSliceMut::new(&mut room.packet[..at_most.min(MAX_PACKET)])];
        let Some(message) = receive_message(socket, &mut parts, &mut room.control, MsgFlags::empty())? else {
            return Ok(None);
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampsns(stamps) = control {
                kernel = nanos(stamps.system);
            }
        }
        message.bytes.min(MAX_PACKET)
    };
    Ok(Some(Received { packet: &room.packet[..read], kernel }))
}

fn receive_message<'outer, 'inner, 'control>(
    socket: &impl AsRawFd,
    parts: &'outer mut [IoSliceMut<'inner>],
    control: &'control mut Vec<u8>,
    flags: MsgFlags,
) -> io::Result<Option<RecvMsg<'control, 'outer, SockaddrStorage>>>
where
    'inner: 'outer,
{
    control.resize(control.capacity(), 0);
    let flags = flags | MsgFlags::MSG_DONTWAIT;
    match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), parts, Some(control), flags) {
        Ok(message) => Ok(Some(message)),
        Err(Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// What is stamped: both directions, in software; sent packets are told by number and not copied back.
pub(crate) fn stamps() -> TimestampingFlag {
    TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_OPT_ID
        | TimestampingFlag::SOF_TIMESTAMPING_OPT_TSONLY
}

/// A stamp in nanoseconds; the kernel writes zero where it has none.
fn nanos(stamp: TimeSpec) -> Option<i64> {
    let nanos = stamp.tv_sec().checked_mul(1_000_000_000)?.checked_add(stamp.tv_nsec())?;
    (nanos != 0).then_some(nanos)
}

/// The kernel's clock of stamps, in nanoseconds. It exists on every kernel, so this cannot fail.
pub(crate) fn stamp_now() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).unwrap_or(TimeSpec::new(0, 0));
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}
