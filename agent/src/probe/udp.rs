//! UDP echo: one packet to an echo server and back, each probe from its own socket.

use super::{
    exchange::{Exchange, now},
    settings::ProbeSettings,
    stamped::{CLOCK, Notice, Received, Room, StampedSocket, describe_unreachable},
    strays::Strays,
};
use crate::sample::Stray;
use peerlight_proto::{
    id::TargetId,
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Instant,
};
use tokio::time::timeout_at;

/// What follows the cookie, so that whoever captures a packet knows what it is.
const TEXT: &[u8; 24] = b"Peerlight UDP echo probe";
/// How many packets are read at most before other work gets its turn.
const MAX_BURST: usize = 256;

/// One probe that is under way.
struct Flight {
    socket: StampedSocket,
    request: [u8; 32],
    v6: bool,
    left: Option<i64>,
    strays: Strays,
    stray: Stray,
}

/// How a flight ended.
enum Landing {
    Echo { kernel: Option<i64>, at: Instant },
    Refused(String),
}

/// Probes one address.
pub(crate) async fn probe(
    settings: &ProbeSettings,
    to: SocketAddr,
    target: TargetId,
    strays: &Strays,
) -> Exchange {
    let deadline = tokio::time::Instant::now() + settings.deadline;
    let family = Family::of(to.ip());
    let stray = Stray { target, metric: Metric::UdpRtt, family, duplicate: false };
    let (mut flight, began) = match open(settings, to).and_then(|socket| Flight::begin(socket, strays, stray))
    {
        Ok(begun) => begun,
        Err(error) => {
            return Exchange::failed(
                CLOCK,
                Ending::SendFailed,
                format!("cannot send from this machine: {error}"),
            );
        }
    };
    let mut room = Room::new();
    let landed = match timeout_at(deadline, flight.land(&mut room)).await {
        Ok(landing) => Some(landing),
        // The last look: this process may have slept through the answer.
        Err(_elapsed) => flight.drain(&mut room),
    };
    match landed {
        None => Exchange::lost(CLOCK),
        Some(Landing::Refused(error)) => Exchange::failed(CLOCK, Ending::Refused, error),
        Some(Landing::Echo { kernel, at }) => {
            let stamped = kernel.zip(flight.left).map(|(came, left)| (Clock::Kernel, came - left));
            let exchange = Exchange::timed(stamped, at - began, settings.timeout);
            tokio::spawn(timeout_at(deadline, flight.linger(room)));
            exchange
        }
    }
}

fn open(settings: &ProbeSettings, to: SocketAddr) -> io::Result<StampedSocket> {
    let family = Family::of(to.ip());
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(source) = settings.source(family) {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&to.into())?;
    StampedSocket::new(socket, family, false)
}

impl Flight {
    fn begin(socket: StampedSocket, strays: &Strays, stray: Stray) -> io::Result<(Self, Instant)> {
        let mut request = [0; 32];
        request[..8].copy_from_slice(&rand::random::<[u8; 8]>());
        request[8..].copy_from_slice(TEXT);
        let began = now();
        socket.send(&request, None)?;
        let v6 = stray.family == Family::V6;
        Ok((Self { socket, request, v6, left: None, strays: strays.clone(), stray }, began))
    }

    /// Waits for the echo or a refusal; the caller bounds the time.
    async fn land(&mut self, room: &mut Room) -> Landing {
        loop {
            if let Some(landing) = self.drain(room) {
                return landing;
            }
            match self.socket.ready().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(error) => return Landing::Refused(error.to_string()),
            }
        }
    }

    /// Reads what there is, notices first, up to the echo.
    fn drain(&mut self, room: &mut Room) -> Option<Landing> {
        for _ in 0..MAX_BURST {
            if let Some(refusal) = self.read_notices(room) {
                return Some(Landing::Refused(refusal));
            }
            match self.socket.receive(room) {
                Ok(Some(Received { packet, kernel, user, .. })) if packet == self.request => {
                    // The stamp of the request may have come after the notices were read.
                    let _refusal = self.read_notices(room);
                    return Some(Landing::Echo { kernel, at: user });
                }
                Ok(Some(_foreign)) => self.strays.report(self.stray),
                Ok(None) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Some(Landing::Refused(describe_unreachable(
                        if self.v6 { 4 } else { 3 },
                        self.v6,
                    )));
                }
                Err(_about_another_packet) => {}
            }
        }
        None
    }

    fn read_notices(&mut self, room: &mut Room) -> Option<String> {
        while let Ok(Some(notice)) = self.socket.notice(room) {
            match notice {
                Notice::Sent { at, .. } => self.left = Some(at),
                Notice::Unreachable { code, .. } => return Some(describe_unreachable(code, self.v6)),
                Notice::Other => {}
            }
        }
        None
    }

    /// After the echo: keeps the port open for echoes beyond it, until the caller ends it.
    async fn linger(self, mut room: Room) {
        // What came right behind the echo is there already and makes the socket ready no more.
        loop {
            self.count_strays(&mut room);
            match self.socket.ready().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_runtime_ends) => return,
            }
        }
    }

    fn count_strays(&self, room: &mut Room) {
        for _ in 0..MAX_BURST {
            while let Ok(Some(_)) = self.socket.notice(room) {}
            match self.socket.receive(room) {
                Ok(Some(received)) => {
                    let duplicate = received.packet == self.request;
                    self.strays.report(Stray { duplicate, ..self.stray });
                }
                Ok(None) => break,
                Err(_icmp) => {}
            }
        }
    }
}
