//! Linux: `SO_TIMESTAMPING` software stamps in both directions; stamps of sent packets and ICMP errors come through the
//! socket's error queue.

use super::{MAX_PACKET, Notice, Received, Room};
use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, RecvMsg, SetSockOpt as _, SockaddrStorage, TimestampingFlag,
        Timestamps, recvmsg, sockopt,
    },
    sys::time::TimeSpec,
};
use peerlight_proto::series::Family;
use socket2::Socket;
use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    os::fd::AsRawFd,
    sync::{Mutex, PoisonError},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpStream,
};

/// What the receive buffer should hold: the stamps of a burst of a thousand packets share it with their replies.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A datagram socket with stamps.
pub(crate) struct StampedSocket {
    fd: AsyncFd<Socket>,
    /// The key of the next packet: the kernel numbers the packets of a socket.
    next_key: Mutex<u32>,
}

/// Readiness that is to be cleared once the socket is drained.
pub(crate) type Ready<'a> = tokio::io::unix::AsyncFdReadyGuard<'a, Socket>;

impl Room {
    /// An empty room.
    pub(crate) fn new() -> Self {
        let control = nix::cmsg_space!(Timestamps, (libc::sock_extended_err, libc::sockaddr_in6), [u8; 64]);
        Self { packet: [0; MAX_PACKET], control }
    }
}

impl StampedSocket {
    /// Makes a socket of `family` non-blocking and stamped; needs a tokio runtime. `busy` asks for a large buffer.
    pub(crate) fn new(socket: Socket, family: Family, busy: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        if busy && sockopt::RcvBufForce.set(&socket, &RECEIVE_BUFFER).is_err() {
            // Without the privilege the kernel caps it at net.core.rmem_max.
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        sockopt::Timestamping.set(&socket, &stamps())?;
        match family {
            Family::V4 => sockopt::Ipv4RecvErr.set(&socket, &true)?,
            Family::V6 => sockopt::Ipv6RecvErr.set(&socket, &true)?,
        }
        Ok(Self { fd: register(socket)?, next_key: Mutex::new(0) })
    }

    /// Sends a packet, to `to` unless the socket is connected, and says by which key its stamp will come.
    pub(crate) fn send(&self, packet: &[u8], to: Option<SocketAddr>) -> io::Result<u32> {
        let mut next_key = self.next_key.lock().unwrap_or_else(PoisonError::into_inner);
        let send = || match to {
            Some(to) => self.fd.get_ref().send_to(packet, &to.into()),
            None => self.fd.get_ref().send(packet),
        };
        // An ICMP error about an earlier packet is reported once by the next call; it says nothing about this packet.
        if send().is_err() {
            self.restart_keys(&mut next_key)?;
            if let Err(error) = send() {
                self.restart_keys(&mut next_key)?;
                return Err(error);
            }
        }
        let key = *next_key;
        *next_key = next_key.wrapping_add(1);
        Ok(key)
    }

    /// Has the kernel count from 0 again: whether it counted a packet that failed depends on its version.
    fn restart_keys(&self, next_key: &mut u32) -> io::Result<()> {
        sockopt::Timestamping
            .set(self.fd.get_ref(), &(stamps().difference(TimestampingFlag::SOF_TIMESTAMPING_OPT_ID)))?;
        sockopt::Timestamping.set(self.fd.get_ref(), &stamps())?;
        *next_key = 0;
        Ok(())
    }

    /// Waits until there is a packet or a notice. Clear the readiness when both are drained.
    pub(crate) async fn ready(&self) -> io::Result<Ready<'_>> {
        self.fd.ready(Interest::READABLE | Interest::ERROR).await
    }

    /// The next notice, or none for now.
    pub(crate) fn notice<'room>(&self, room: &'room mut Room) -> io::Result<Option<Notice<'room>>> {
        notice(self.fd.get_ref(), room)
    }

    /// The next packet, or none for now.
    pub(crate) fn receive<'room>(&self, room: &'room mut Room) -> io::Result<Option<Received<'room>>> {
        receive(self.fd.get_ref(), room, MAX_PACKET)
    }
}

/// Has the kernel stamp what goes through a TCP connection, from its first byte.
pub(crate) fn stamp_stream(stream: &TcpStream) -> io::Result<()> {
    Ok(sockopt::Timestamping.set(stream, &stamps())?)
}

/// The next notice about a socket, or none for now. Of a stream, a packet's key is the offset of the last byte of the write.
pub(crate) fn notice<'room>(
    socket: &impl AsRawFd,
    room: &'room mut Room,
) -> io::Result<Option<Notice<'room>>> {
    let mut stamp = None;
    let mut error = None;
    let read = {
        let mut parts = [IoSliceMut::new(&mut room.packet)];
        let Some(message) = receive_message(socket, &mut parts, &mut room.control, MsgFlags::MSG_ERRQUEUE)?
        else {
            return Ok(None);
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampsns(stamps) = control {
                stamp = nanos(stamps.system);
            } else if let ControlMessageOwned::Ipv4RecvErr(said, _)
            | ControlMessageOwned::Ipv6RecvErr(said, _) = control
            {
                error = Some(said);
            }
        }
        message.bytes.min(MAX_PACKET)
    };
    let Some(error) = error else { return Ok(Some(Notice::Other)) };
    Ok(Some(match (error.ee_origin, error.ee_type, stamp) {
        (libc::SO_EE_ORIGIN_TIMESTAMPING, _, Some(at)) => Notice::Sent { key: error.ee_data, at },
        // A packet that was too large for some link (code 4) is none of ours.
        (libc::SO_EE_ORIGIN_ICMP, 3, _) if error.ee_code != 4 => {
            Notice::Unreachable { code: error.ee_code, quoted: &room.packet[..read] }
        }
        (libc::SO_EE_ORIGIN_ICMP6, 1, _) => {
            Notice::Unreachable { code: error.ee_code, quoted: &room.packet[..read] }
        }
        _ => Notice::Other,
    }))
}

/// The next packet of a socket, or up to `at_most` bytes of a stream with the stamp of the last of them; none for now.
pub(crate) fn receive<'room>(
    socket: &impl AsRawFd,
    room: &'room mut Room,
    at_most: usize,
) -> io::Result<Option<Received<'room>>> {
    let mut kernel = None;
    let (read, from, user) = {
        let mut parts = [IoSliceMut::new(&mut room.packet[..at_most.min(MAX_PACKET)])];
        let Some(message) = receive_message(socket, &mut parts, &mut room.control, MsgFlags::empty())? else {
            return Ok(None);
        };
        let user = crate::probe::exchange::now();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampsns(stamps) = control {
                kernel = nanos(stamps.system);
            }
        }
        (message.bytes.min(MAX_PACKET), message.address.as_ref().and_then(socket_address), user)
    };
    Ok(Some(Received { packet: &room.packet[..read], from, kernel, user }))
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

#[expect(unsafe_code, reason = "tokio asks callers to vouch for the descriptor")]
fn register(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    let interest = Interest::READABLE | Interest::ERROR;
    // SAFETY: a `Socket` owns its descriptor, gives the same one as long as it lives, and the `AsyncFd` owns the `Socket`.
    let registered = unsafe { AsyncFd::register_with_interest(socket, interest) };
    Ok(registered?)
}

/// What is stamped: both directions, in software; sent packets are told by number and not copied back.
fn stamps() -> TimestampingFlag {
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

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        Some(SocketAddr::V4((*v4).into()))
    } else {
        address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
    }
}
