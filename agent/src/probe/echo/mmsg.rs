//! Many messages in one system call: `sendmmsg` and `recvmmsg` over memory that is kept between calls. By hand, because the
//! headers of nix's wrappers cannot be used a second time: the kernel writes the lengths that it used over those that it may
//! use.

#![expect(unsafe_code, reason = "no safe wrapper of these calls keeps its memory")]

use std::{
    io,
    mem::zeroed,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    ptr,
};

/// How many messages one call moves at most.
pub(super) const AT_ONCE: usize = 64;
/// The largest packet that is read whole: ours are smaller, and of others the beginning tells enough.
const MAX_PACKET: usize = 256;
/// Room for a stamp and an ICMP error.
const MAX_CONTROL: usize = 256;
/// The size of `sockaddr_in6`, the larger of both families'.
const MAX_NAME: usize = 28;

/// A message to send.
pub(super) struct Outgoing<'a> {
    /// What it holds.
    pub(super) packet: &'a [u8],
    /// To whom.
    pub(super) to: Name,
}

/// A socket address as the kernel writes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    bytes: [u8; MAX_NAME],
    length: u32,
}

/// A message that came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// What it holds.
    pub(super) packet: &'a [u8],
    /// Whom it is from; of an error, to whom the packet in question was sent.
    pub(super) from: Option<SocketAddr>,
    control: &'a [u8],
}

/// Where messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Packets.
    Receive,
    /// Stamps of packets that were sent, and ICMP errors.
    Errors,
}

/// Room for incoming messages.
pub(super) struct Inbox {
    slots: Box<[Slot]>,
}

#[derive(Clone)]
#[repr(C, align(8))]
struct Slot {
    control: [u8; MAX_CONTROL],
    packet: [u8; MAX_PACKET],
    name: Name,
    control_length: usize,
    length: usize,
}

/// Sends what it can of up to [`AT_ONCE`] messages, and says how many; an error is about the first.
pub(super) fn send(socket: &impl AsRawFd, messages: &[Outgoing<'_>]) -> io::Result<usize> {
    // SAFETY: both are plain data of C, for which all zeros is a value.
    let (mut headers, mut vectors): ([libc::mmsghdr; AT_ONCE], [libc::iovec; AT_ONCE]) = unsafe { zeroed() };
    let count = messages.len().min(AT_ONCE);
    for ((message, header), vector) in messages.iter().zip(&mut headers).zip(&mut vectors) {
        vector.iov_base = message.packet.as_ptr().cast_mut().cast();
        vector.iov_len = message.packet.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = message.to.bytes.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = message.to.length;
    }
    // SAFETY: the first `count` headers point to packets, names and vectors that outlive the call, with their lengths; the
    // kernel only reads what a sent message points to.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), length_of(count), libc::MSG_DONTWAIT as _)
    };
    usize::try_from(sent).map_err(|_negative| io::Error::last_os_error())
}

/// How many packets the kernel dropped because the socket's receive buffer was full.
pub(super) fn dropped(socket: &impl AsRawFd) -> io::Result<u32> {
    /// `SK_MEMINFO_DROPS` (`linux/sock_diag.h`): the place of the count.
    const DROPS: usize = 8;
    let mut counts = [0_u32; DROPS + 1];
    let mut length = length_of(size_of_val(&counts));
    // SAFETY: the kernel writes at most `length` bytes into `counts`, which has as many.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            counts.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(counts[DROPS]) } else { Err(io::Error::last_os_error()) }
}

impl Inbox {
    /// An empty one.
    pub(super) fn new() -> Self {
        let slot = Slot {
            control: [0; MAX_CONTROL],
            packet: [0; MAX_PACKET],
            name: Name { bytes: [0; MAX_NAME], length: 0 },
            control_length: 0,
            length: 0,
        };
        Self { slots: vec![slot; AT_ONCE].into() }
    }

    /// Takes up to [`AT_ONCE`] messages from a queue; fewer if there are no more.
    pub(super) fn take(&mut self, socket: &impl AsRawFd, queue: Queue) -> io::Result<usize> {
        // SAFETY: both are plain data of C, for which all zeros is a value.
        let (mut headers, mut vectors): ([libc::mmsghdr; AT_ONCE], [libc::iovec; AT_ONCE]) =
            unsafe { zeroed() };
        for ((slot, header), vector) in self.slots.iter_mut().zip(&mut headers).zip(&mut vectors) {
            vector.iov_base = slot.packet.as_mut_ptr().cast();
            vector.iov_len = MAX_PACKET;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = slot.name.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = length_of(MAX_NAME);
            header.msg_hdr.msg_control = slot.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = MAX_CONTROL as _;
        }
        let flags = libc::MSG_DONTWAIT | if queue == Queue::Errors { libc::MSG_ERRQUEUE } else { 0 };
        // SAFETY: each header points to the memory of its own slot, with the true lengths, and the slots are borrowed for
        // the call; there is no timeout.
        let taken = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                length_of(AT_ONCE),
                flags as _,
                ptr::null_mut(),
            )
        };
        let taken = match usize::try_from(taken) {
            Ok(taken) => taken,
            Err(_negative) => {
                let error = io::Error::last_os_error();
                return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
            }
        };
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(taken) {
            slot.length = (header.msg_len as usize).min(MAX_PACKET);
            slot.name.length = header.msg_hdr.msg_namelen;
            #[cfg_attr(target_env = "gnu", expect(clippy::unnecessary_cast, reason = "narrower elsewhere"))]
            let control_length = header.msg_hdr.msg_controllen as usize;
            slot.control_length = control_length.min(MAX_CONTROL);
        }
        Ok(taken)
    }

    /// One of the messages that were taken last.
    pub(super) fn message(&self, number: usize) -> Message<'_> {
        let slot = &self.slots[number];
        Message {
            packet: &slot.packet[..slot.length],
            from: slot.name.address(),
            control: &slot.control[..slot.control_length],
        }
    }
}

impl<'a> Message<'a> {
    /// The control messages: level, type and content of each (cmsg(3)).
    pub(super) fn controls(&self) -> impl Iterator<Item = (i32, i32, &'a [u8])> + use<'a> {
        const WORD: usize = size_of::<usize>();
        const HEADER: usize = WORD + 8;
        let mut rest = self.control;
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<WORD>()?;
            let (level, tail) = tail.split_first_chunk()?;
            let kind = i32::from_ne_bytes(*tail.first_chunk()?);
            let length = usize::from_ne_bytes(*length);
            let content = rest.get(HEADER..length)?;
            rest = rest.get(length.next_multiple_of(WORD)..).unwrap_or_default();
            Some((i32::from_ne_bytes(*level), kind, content))
        })
    }
}

impl Name {
    /// The address of a family and port.
    pub(super) fn new(address: SocketAddr) -> Self {
        let mut bytes = [0; MAX_NAME];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        let (family, length) = match address {
            SocketAddr::V4(v4) => {
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                (libc::AF_INET, 16)
            }
            SocketAddr::V6(v6) => {
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, 28)
            }
        };
        bytes[..2].copy_from_slice(&u16::try_from(family).unwrap_or_default().to_ne_bytes());
        Self { bytes, length }
    }

    fn address(&self) -> Option<SocketAddr> {
        let [family_0, family_1, port_0, port_1, a, b, c, d, v6 @ ..] = &self.bytes;
        let family = i32::from(u16::from_ne_bytes([*family_0, *family_1]));
        let port = u16::from_be_bytes([*port_0, *port_1]);
        match (family, self.length) {
            (libc::AF_INET, 16) => Some((IpAddr::from([*a, *b, *c, *d]), port).into()),
            (libc::AF_INET6, 28) => Some((IpAddr::from(*v6.first_chunk::<16>()?), port).into()),
            _ => None,
        }
    }
}

/// A length as the kernel takes it; none here is large.
fn length_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn messages_go_and_come_many_at_once_and_the_memory_serves_again() {
        let (here, there) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut inbox = Inbox::new();
        assert_eq!(inbox.take(&there, Queue::Receive).unwrap(), 0);
        let to = Name::new(there.local_addr().unwrap());
        for round in 0..3_u8 {
            let packets: Vec<_> = (0..10).map(|number| [round, number]).collect();
            let messages: Vec<_> = packets.iter().map(|packet| Outgoing { packet, to }).collect();
            assert_eq!(send(&here, &messages).unwrap(), 10);
            assert_eq!(inbox.take(&there, Queue::Receive).unwrap(), 10);
            for (number, packet) in packets.iter().enumerate() {
                let message = inbox.message(number);
                assert_eq!((message.packet, message.from), (&packet[..], here.local_addr().ok()));
                assert_eq!(message.controls().count(), 0);
            }
        }
        assert_eq!(inbox.take(&here, Queue::Errors).unwrap(), 0);
        assert_eq!(dropped(&there).unwrap(), 0);
    }

    #[test]
    fn an_address_is_what_it_was_in_both_families() {
        for address in ["192.0.2.7:443", "[2001:db8::7]:3478"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(Name::new(address).address(), Some(address));
        }
    }

    #[test]
    fn control_messages_that_lie_about_their_length_end_the_list() {
        for lie in [0_usize, 15, 4_096] {
            let mut control = [0; 32];
            control[..8].copy_from_slice(&lie.to_ne_bytes());
            let message = Message { packet: &[], from: None, control: &control };
            assert!(message.controls().count() <= 1, "{lie}");
        }
    }
}
