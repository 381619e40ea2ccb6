//! Linux: an own socket per family, unprivileged where the system lets us, with the kernel's stamps.

mod echo;
mod in_flight;

use crate::{
    probe::{
        exchange::{Exchange, now},
        settings::ProbeSettings,
        stamped::{Notice, Received, Room, StampedSocket, describe_unreachable},
        strays::Strays,
    },
    sample::Stray,
};
use echo::Cookie;
use in_flight::{Answer, InFlight, Match};
use peerlight_proto::{
    id::TargetId,
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family},
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::timeout_at;
use tokio_util::task::AbortOnDropHandle;

/// How many failed reads end a turn, so that a socket that only fails does not spin.
const MAX_FAILED_READS: usize = 64;

/// One family's socket, read by one task.
pub(super) struct Endpoint {
    shared: Arc<Shared>,
    _reader: AbortOnDropHandle<()>,
}

struct Shared {
    socket: StampedSocket,
    family: Family,
    /// Raw sockets of IPv4 deliver the IP header, too.
    with_ip_header: bool,
    identifier: u16,
    in_flight: Mutex<InFlight>,
    /// Held while reading: a reply must not overtake the stamp of its request.
    room: Mutex<Room>,
    strays: Strays,
}

impl Endpoint {
    /// Opens a datagram socket, or a raw one where only that is permitted.
    pub(super) fn open(source: Option<IpAddr>, family: Family, strays: &Strays) -> io::Result<Self> {
        let (socket, raw) = match new_socket(family, Type::DGRAM) {
            Ok(socket) => (socket, false),
            Err(unprivileged) => match new_socket(family, Type::RAW) {
                Ok(socket) => (socket, true),
                Err(_no_privilege_either) => return Err(unprivileged),
            },
        };
        socket.bind(&SocketAddr::new(source.unwrap_or(any(family)), 0).into())?;
        let identifier = if raw {
            let identifier = rand::random();
            socket.attach_filter(&only_replies_to(identifier, family))?;
            identifier
        } else {
            // The kernel makes the port the identifier and delivers only its replies.
            socket.local_addr()?.as_socket().map_or(0, |address| address.port())
        };
        let shared = Arc::new(Shared {
            socket: StampedSocket::new(socket, family, true)?,
            family,
            with_ip_header: raw && family == Family::V4,
            identifier,
            in_flight: Mutex::default(),
            room: Mutex::new(Room::new()),
            strays: strays.clone(),
        });
        let reader = tokio::spawn(read(Arc::clone(&shared)));
        Ok(Self { shared, _reader: AbortOnDropHandle::new(reader) })
    }

    /// Probes one address.
    pub(super) async fn probe(&self, settings: &ProbeSettings, to: IpAddr, target: TargetId) -> Exchange {
        let deadline = tokio::time::Instant::now() + settings.deadline;
        let mut answer = match self.shared.send(to, target) {
            Ok(answer) => answer,
            Err(error) => {
                let error = format!("cannot send from this machine: {error}");
                return Exchange::failed(Clock::Kernel, Ending::SendFailed, error);
            }
        };
        let answer = match timeout_at(deadline, &mut answer).await {
            Ok(answer) => answer.ok(),
            Err(_elapsed) => {
                // The last look: this process may have slept through the answer.
                self.shared.drain();
                answer.try_recv().ok()
            }
        };
        match answer {
            Some(Answer::Reply { kernel, user }) => {
                Exchange::timed(kernel.map(|nanos| (Clock::Kernel, nanos)), user, settings.timeout)
            }
            Some(Answer::Unreachable(error)) => Exchange::failed(Clock::Kernel, Ending::Refused, error),
            None => Exchange::lost(Clock::Kernel),
        }
    }
}

async fn read(shared: Arc<Shared>) {
    while let Ok(mut ready) = shared.socket.ready().await {
        shared.drain();
        ready.clear_ready();
    }
}

impl Shared {
    fn send(&self, to: IpAddr, target: TargetId) -> io::Result<tokio::sync::oneshot::Receiver<Answer>> {
        let cookie: Cookie = rand::random();
        // Locked until the key is noted: the reader may see the stamp at once.
        let mut in_flight = self.in_flight();
        let (sequence, answer) = in_flight
            .begin(target, to, cookie, now())
            .ok_or_else(|| io::Error::other("65,536 ICMP probes of the last minute are in flight"))?;
        let packet = echo::request(self.family, self.identifier, sequence, cookie);
        match self.socket.send(&packet, Some(SocketAddr::new(to, 0))) {
            Ok(key) => {
                in_flight.keyed(sequence, key);
                Ok(answer)
            }
            Err(error) => {
                in_flight.take_back(sequence);
                Err(error)
            }
        }
    }

    /// Reads all that there is, notices first: they hold the stamps of the requests whose replies follow.
    fn drain(&self) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failed = 0;
        self.read_notices(&mut room);
        while failed < MAX_FAILED_READS {
            match self.socket.receive(&mut room) {
                Ok(Some(received)) => {
                    let Received { from, kernel, user, .. } = received;
                    let Some(reply) = self.parse(received.packet) else { continue };
                    if self.in_flight().lacks_stamp(&reply) {
                        self.read_notices(&mut room);
                    }
                    let from = from.map(|from| from.ip());
                    let matched = self.in_flight().replied(from, &reply, kernel, user);
                    self.report(matched);
                }
                Ok(None) => return,
                // An ICMP error is reported here, too; the notice says about which packet.
                Err(_reported) => {
                    failed += 1;
                    self.read_notices(&mut room);
                }
            }
        }
    }

    fn read_notices(&self, room: &mut Room) {
        while let Ok(Some(notice)) = self.socket.notice(room) {
            match notice {
                Notice::Sent { key, at } => self.in_flight().left(key, at),
                Notice::Unreachable { code, quoted } => {
                    let request = echo::quoted_request(self.family, quoted);
                    if let Some(request) = request.filter(|request| request.identifier == self.identifier) {
                        let error = describe_unreachable(code, self.family == Family::V6);
                        self.in_flight().unreachable(&request, error);
                    }
                }
                Notice::Other => {}
            }
        }
    }

    fn parse(&self, packet: &[u8]) -> Option<echo::Echo> {
        let packet = if self.with_ip_header { echo::after_ipv4_header(packet)? } else { packet };
        echo::reply(self.family, packet).filter(|reply| reply.identifier == self.identifier)
    }

    fn report(&self, matched: Match) {
        let (target, duplicate) = match matched {
            Match::Duplicate(target) => (target, true),
            Match::Foreign(target) => (target, false),
            Match::First | Match::Unknown => return,
        };
        self.strays.report(Stray { target, metric: Metric::IcmpRtt, family: self.family, duplicate });
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_socket(family: Family, kind: Type) -> io::Result<Socket> {
    match family {
        Family::V4 => Socket::new(Domain::IPV4, kind, Some(Protocol::ICMPV4)),
        Family::V6 => Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6)),
    }
}

fn any(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
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
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, echo::reply_type(family).into()),
        SockFilter::new(LOAD_HALF_AT_X, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, identifier.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
