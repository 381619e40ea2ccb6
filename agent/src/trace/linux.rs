//! Linux: a socket for each packet. The kernel tells that socket what came back for its packet, from whom and when, through
//! its error queue: a UDP or TCP socket needs no privilege for that, an ICMP socket what probes need.

use super::{
    LOOK, TraceError,
    answer::{Answer, AnswerKind, Stamps},
    args::{Method, Plan},
    course::{Course, Turn},
    echo::Echo,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            ControlMessageOwned, MsgFlags, SetSockOpt as _, SockaddrStorage, TimestampingFlag, Timestamps,
            recvmsg, sockopt,
        },
        time::TimeSpec,
    },
    time::{ClockId, clock_gettime},
};
use peerlight_proto::series::Family;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd as _, AsRawFd as _},
    time::{Duration, Instant},
};

/// What is sent by UDP, so that whoever captures a packet knows what it is.
const TEXT: &[u8] = b"Peerlight path";
/// The largest packet that is read whole.
const MAX_PACKET: usize = 512;
/// How many messages are read at most from a socket that never runs dry.
const MAX_BURST: usize = 64;

/// Sends packets and waits for what comes back.
pub(super) struct Tracer {
    to: SocketAddr,
    source: Option<IpAddr>,
    method: Method,
    timeout: Duration,
    /// The kernel begins to stamp what comes in some time after the first socket has asked for it, and ends with the last:
    /// so that there is one from the beginning to the end.
    _stamping: Option<Socket>,
}

impl Tracer {
    /// For the target of `plan`.
    pub(super) fn new(plan: &Plan) -> Self {
        let stamping = Socket::new(Domain::for_address(plan.to), Type::DGRAM, None)
            .ok()
            .filter(|socket| sockopt::Timestamping.set(socket, &stamps()).is_ok());
        let Plan { to, source, method, timeout, .. } = *plan;
        Self { to, source, method, timeout, _stamping: stamping }
    }

    /// Sends a wave and tells `course` what came back, until nothing can any more. Blocks.
    pub(super) fn send(
        &self,
        wave: &[Turn],
        course: &mut Course,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), TraceError> {
        let mut flights = Vec::with_capacity(wave.len());
        for &turn in wave {
            flights.push(Flight::launch(self, turn)?);
            course.sent(turn);
        }
        let deadline = now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(now());
            // At the end, a last look: this process may have slept through an answer.
            let last = left.is_zero() || stopped();
            let ready = wait(&flights, left.min(LOOK))?;
            for (flight, _) in flights.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
                if let Some(answer) = flight.look(self.to) {
                    flight.over = true;
                    if answer.latency <= self.timeout {
                        course.answered(flight.turn, answer);
                    }
                }
            }
            flights.retain(|flight| !flight.over && course.wants(flight.turn));
            if last || flights.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Waits until something came back, or for so long; tells of which flights.
fn wait(flights: &[Flight], at_most: Duration) -> Result<Vec<bool>, TraceError> {
    let mut sockets: Vec<PollFd> =
        flights.iter().map(|flight| PollFd::new(flight.socket.as_fd(), flight.awaited)).collect();
    let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
    match poll(&mut sockets, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(TraceError::Wait(errno.into())),
    }
    Ok(sockets.iter().map(|socket| socket.any().unwrap_or(true)).collect())
}

/// A packet under way, and the socket that was made for it.
struct Flight {
    turn: Turn,
    socket: Socket,
    awaited: PollFlags,
    expected: Expected,
    began: Instant,
    /// The same instant by the clock of the kernel's stamps.
    about_to_leave: Option<i64>,
    left: Option<i64>,
    /// Whether nothing more can come.
    over: bool,
}

/// How a reply of the target is told.
enum Expected {
    Echo {
        echo: Echo,
        raw: bool,
    },
    Packet,
    /// Unless the connect was refused at once.
    Connection {
        refused: bool,
    },
}

impl Flight {
    fn launch(tracer: &Tracer, turn: Turn) -> Result<Self, TraceError> {
        let to = tracer.to;
        let (socket, raw) = open(tracer.method, to)?;
        let sending = |source| TraceError::Send { to: to.ip(), source };
        if let Some(address) = tracer.source {
            let bound = socket.bind(&SocketAddr::new(address, 0).into());
            bound.map_err(|source| TraceError::Source { address, source })?;
        }
        prepare(&socket, to.is_ipv4(), turn.hop).map_err(sending)?;
        let (mut expected, awaited) = match tracer.method {
            Method::Icmp => {
                let family = Family::of(to.ip());
                let sequence = u16::from(turn.hop);
                let echo = Echo { family, identifier: rand::random(), sequence, cookie: rand::random() };
                (Expected::Echo { echo, raw }, PollFlags::POLLIN)
            }
            Method::Udp => (Expected::Packet, PollFlags::POLLIN),
            Method::Tcp => (Expected::Connection { refused: false }, PollFlags::POLLOUT),
        };
        if !matches!(expected, Expected::Connection { .. }) {
            socket.connect(&to.into()).map_err(sending)?;
        }
        let about_to_leave = clock_gettime(ClockId::CLOCK_REALTIME).ok().and_then(nanos);
        let began = now();
        let sent = match &mut expected {
            Expected::Echo { echo, .. } => socket.send(&echo.request()).map(drop),
            Expected::Packet => socket.send(TEXT).map(drop),
            Expected::Connection { refused } => match socket.connect(&to.into()) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    *refused = true;
                    Ok(())
                }
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
                connected => connected,
            },
        };
        sent.map_err(sending)?;
        Ok(Self { turn, socket, awaited, expected, began, about_to_leave, left: None, over: false })
    }

    /// Reads what there is; the answer, if it is among that.
    fn look(&mut self, target: SocketAddr) -> Option<Answer> {
        let user = now() - self.began;
        let error = self.read_errors(target.ip());
        let (kind, from, came) = if let Some(error) = error {
            error
        } else {
            let came = self.read_reply()?;
            (came.kind, target.ip(), came.at)
        };
        let stamps = Stamps { left: self.left, about_to_leave: self.about_to_leave, came, user };
        let (latency, clock) = stamps.latency();
        Some(Answer { from, kind, latency, clock })
    }

    /// Reads the error queue: when the packet left, and what ICMP says about it.
    fn read_errors(&mut self, target: IpAddr) -> Option<(AnswerKind, IpAddr, Option<i64>)> {
        let mut found = None;
        for _ in 0..MAX_BURST {
            let Ok(Some(message)) = read(&self.socket, MsgFlags::MSG_ERRQUEUE) else { break };
            let Some((error, offender)) = message.error else { continue };
            match error.ee_origin {
                libc::SO_EE_ORIGIN_TIMESTAMPING => self.left = self.left.or(message.at),
                libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => {
                    let foreign = match &self.expected {
                        Expected::Echo { echo, raw } => *raw && !echo.is_quoted(&message.bytes),
                        Expected::Packet | Expected::Connection { .. } => false,
                    };
                    let from = offender.filter(|_| !foreign);
                    let kind = from.and_then(|from| {
                        AnswerKind::of_icmp(error.ee_type, error.ee_code, from, target)
                            .map(|kind| (kind, from))
                    });
                    found = found.or(kind.map(|(kind, from)| (kind, from, message.at)));
                }
                _ => {}
            }
        }
        found
    }

    /// Reads the reply of the target, if it came.
    fn read_reply(&mut self) -> Option<Came> {
        if let Expected::Connection { refused } = self.expected {
            let refused = refused.then_some(Came { kind: AnswerKind::Refused, at: None });
            return refused.or_else(|| self.read_connection());
        }
        for _ in 0..MAX_BURST {
            let message = match read(&self.socket, MsgFlags::empty()) {
                Ok(Some(message)) => message,
                Ok(None) => return None,
                // What went wrong stood in the error queue; reading takes it off the socket.
                Err(_told_already) => continue,
            };
            let mine = match &self.expected {
                Expected::Echo { echo, raw } => {
                    echo.is_reply(&message.bytes, *raw && echo.family == Family::V4)
                }
                Expected::Packet | Expected::Connection { .. } => true,
            };
            if mine {
                return Some(Came { kind: AnswerKind::Reply, at: message.at });
            }
        }
        None
    }

    /// How a connect that has ended did so.
    fn read_connection(&mut self) -> Option<Came> {
        let kind = match self.socket.take_error() {
            Ok(None) if self.socket.peer_addr().is_ok() => AnswerKind::Reply,
            Ok(None) => return None,
            Ok(Some(error)) | Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                AnswerKind::Refused
            }
            Ok(Some(_other)) | Err(_other) => {
                self.over = true;
                return None;
            }
        };
        Some(Came { kind, at: None })
    }
}

/// The target's own answer.
struct Came {
    kind: AnswerKind,
    at: Option<i64>,
}

/// A message of a socket or of its error queue.
struct Message {
    bytes: Vec<u8>,
    at: Option<i64>,
    error: Option<(libc::sock_extended_err, Option<IpAddr>)>,
}

/// The socket for one packet, and whether it is a raw one: that is for ICMP where only that is permitted.
fn open(method: Method, to: SocketAddr) -> Result<(Socket, bool), TraceError> {
    let domain = Domain::for_address(to);
    let open = |kind, protocol| Socket::new(domain, kind, Some(protocol));
    let sending = |source| TraceError::Send { to: to.ip(), source };
    match method {
        Method::Tcp => open(Type::STREAM, Protocol::TCP).map(|socket| (socket, false)).map_err(sending),
        Method::Udp => open(Type::DGRAM, Protocol::UDP).map(|socket| (socket, false)).map_err(sending),
        Method::Icmp => {
            let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
            match open(Type::DGRAM, protocol) {
                Ok(socket) => Ok((socket, false)),
                Err(unprivileged) => match open(Type::RAW, protocol) {
                    Ok(socket) => Ok((socket, true)),
                    Err(_no_privilege_either) if unprivileged.kind() == ErrorKind::PermissionDenied => {
                        Err(TraceError::IcmpNotPermitted(unprivileged))
                    }
                    Err(_no_privilege_either) => Err(sending(unprivileged)),
                },
            }
        }
    }
}

/// Makes a socket whose packets live for so many hops, and that tells what becomes of them.
fn prepare(socket: &Socket, v4: bool, hops: u8) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if v4 {
        socket.set_ttl_v4(hops.into())?;
        sockopt::Ipv4RecvErr.set(socket, &true)?;
    } else {
        socket.set_unicast_hops_v6(hops.into())?;
        sockopt::Ipv6RecvErr.set(socket, &true)?;
    }
    Ok(sockopt::Timestamping.set(socket, &stamps())?)
}

/// What is stamped: both directions, in software; what is sent is not copied back.
fn stamps() -> TimestampingFlag {
    TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_OPT_TSONLY
}

/// The next message, or none for now.
fn read(socket: &Socket, flags: MsgFlags) -> io::Result<Option<Message>> {
    let mut room = [0; MAX_PACKET];
    let mut control = nix::cmsg_space!(Timestamps, (libc::sock_extended_err, libc::sockaddr_in6), [u8; 64]);
    let mut at = None;
    let mut error = None;
    let length = {
        let mut parts = [IoSliceMut::new(&mut room)];
        let flags = flags | MsgFlags::MSG_DONTWAIT;
        let message =
            match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampsns(stamps) = control {
                at = nanos(stamps.system);
            } else if let ControlMessageOwned::Ipv4RecvErr(said, offender) = control {
                let address = offender.map(|from| Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)));
                error = Some((said, address.map(IpAddr::V4)));
            } else if let ControlMessageOwned::Ipv6RecvErr(said, offender) = control {
                let address = offender.map(|from| Ipv6Addr::from(from.sin6_addr.s6_addr));
                error = Some((said, address.map(IpAddr::V6)));
            }
        }
        message.bytes.min(MAX_PACKET)
    };
    Ok(Some(Message { bytes: room[..length].to_vec(), at, error }))
}

/// A stamp in nanoseconds; the kernel writes zero where it has none.
fn nanos(stamp: TimeSpec) -> Option<i64> {
    let nanos = stamp.tv_sec().checked_mul(1_000_000_000)?.checked_add(stamp.tv_nsec())?;
    (nanos != 0).then_some(nanos)
}

/// This instant, on the clock that never goes back.
#[expect(clippy::disallowed_methods, reason = "probes are what measures time")]
fn now() -> Instant {
    Instant::now()
}
