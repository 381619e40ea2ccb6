//! TCP connect: SYN to SYN-ACK, by the kernel's own estimate of the round trip. Nothing is ever sent on the connection.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(any(target_os = "linux", windows)))]
mod portable;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(any(target_os = "linux", windows)))]
use portable as platform;
#[cfg(windows)]
use windows as platform;

use super::{
    departure::Departure,
    exchange::{Exchange, now},
    settings::ProbeSettings,
};
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout_at};

/// The clock that times connects.
pub(crate) fn clock() -> Clock {
    platform::clock()
}

/// A connection and how it came about.
pub(crate) struct Connected {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// When the connect began …
    pub(crate) began: Instant,
    /// … and when this process learned that it was done.
    pub(crate) done: Instant,
    /// What the kernel knows about it.
    pub(crate) facts: Option<Facts>,
}

impl Connected {
    /// The kernel's estimate of the round trip, in nanoseconds.
    pub(crate) fn round_trip_nanos(&self) -> Option<i64> {
        i64::try_from(self.facts?.round_trip?.as_nanos()).ok()
    }

    /// For how long the connection was there without this process knowing, because it did not run.
    pub(crate) fn held_up(&self) -> Duration {
        let round_trip = self.facts.and_then(|facts| facts.round_trip);
        round_trip.map_or(Duration::ZERO, |took| (self.done - self.began).saturating_sub(took))
    }
}

/// What the kernel knows about a fresh connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its estimate of the round trip, which is the time of the SYN and its answer; none if it has none.
    pub(crate) round_trip: Option<Duration>,
    /// Whether the SYN was sent again.
    pub(crate) retransmitted: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// This machine could not send.
    #[error("cannot connect from this machine: {0}")]
    Local(#[source] io::Error),
    /// The target or a router said no.
    #[error("refused: {0}")]
    Refused(#[source] io::Error),
}

impl ConnectError {
    /// How the probe ended by that.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Local(_) => Ending::SendFailed,
            Self::Refused(_) => Ending::Refused,
        }
    }
}

/// Probes one address.
pub(crate) async fn probe(settings: &ProbeSettings, to: SocketAddr) -> Exchange {
    let deadline = tokio::time::Instant::now() + settings.deadline;
    let departure = settings.departure(Family::of(to.ip()));
    match timeout_at(deadline, connect(&departure, to)).await {
        Err(_elapsed) => Exchange::lost(clock()),
        Ok(Err(error)) => Exchange::failed(clock(), error.ending(), error),
        Ok(Ok(connected)) => judge(&connected, settings.timeout),
    }
}

fn judge(connected: &Connected, timeout: Duration) -> Exchange {
    if connected.facts.is_some_and(|facts| facts.retransmitted) {
        return Exchange::failed(clock(), Ending::Retransmitted, "the SYN was sent again");
    }
    let stamped = connected.round_trip_nanos().map(|nanos| (Clock::TcpInfo, nanos));
    Exchange::timed(stamped, connected.done - connected.began, timeout)
}

/// Connects as `departure`, of the family of `to`, says. The caller bounds the time.
pub(crate) async fn connect(departure: &Departure, to: SocketAddr) -> Result<Connected, ConnectError> {
    let socket = open(departure, to).map_err(ConnectError::Local)?;
    let began = now();
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if in_progress(&error) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            return Err(ConnectError::Refused(error));
        }
        Err(error) => return Err(ConnectError::Local(error)),
    }
    let stream = TcpStream::from_std(socket.into()).map_err(ConnectError::Local)?;
    stream.writable().await.map_err(ConnectError::Local)?;
    let done = now();
    match stream.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return Err(ConnectError::Refused(error)),
    }
    let facts = platform::facts(&stream);
    Ok(Connected { stream, began, done, facts })
}

fn open(departure: &Departure, to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if departure.source.is_some() {
        platform::share_ports(&socket);
    }
    departure.prepare(&socket)?;
    Ok(socket)
}

fn in_progress(error: &io::Error) -> bool {
    // WSAEWOULDBLOCK on Windows; EINPROGRESS has no stable kind.
    error.kind() == ErrorKind::WouldBlock || platform::is_in_progress(error)
}
