//! One query by UDP from a socket of its own: when it left and when its answer came.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use linux::Stamps;
#[cfg(not(target_os = "linux"))]
use portable::Stamps;

use super::question::{Answer, Question};
use crate::{
    probe::{
        departure::Departure,
        exchange::{Exchange, now},
        settings::ProbeSettings,
        stamped::CLOCK,
        strays::Strays,
        unreachable,
    },
    sample::Stray,
};
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family},
};
use std::{io, net::SocketAddr, time::Instant};
use tokio::{net::UdpSocket, time::timeout_at};

/// A packet that came in.
struct Arrival {
    packet: Vec<u8>,
    /// When the kernel took it, in nanoseconds of its clock.
    stamp: Option<i64>,
}

/// A query under way.
struct Flight {
    socket: UdpSocket,
    stamps: Stamps,
    question: Question,
    strays: Strays,
    stray: Stray,
}

/// Asks `server` for the addresses of `name` in the family of `stray`, to which what answers nothing is reported.
pub(super) async fn send(
    settings: &ProbeSettings,
    server: Result<SocketAddr, String>,
    name: &str,
    strays: &Strays,
    stray: Stray,
) -> (Exchange, Option<Answer>) {
    let not_sent = |error: String| (Exchange::failed(CLOCK, Ending::SendFailed, error), None);
    let question = match Question::new(name, stray.family) {
        Ok(question) => question,
        Err(error) => return not_sent(error.to_string()),
    };
    let server = match server {
        Ok(server) => server,
        Err(error) => return not_sent(error),
    };
    let deadline = tokio::time::Instant::now() + settings.deadline;
    let began = now();
    let mut flight = match launch(settings, server, question, strays, stray).await {
        Ok(flight) => flight,
        Err(error) => return not_sent(format!("cannot send from this machine: {error}")),
    };
    match timeout_at(deadline, flight.landing()).await {
        Err(_elapsed) => (Exchange::lost(CLOCK), None),
        Ok(Ok((stamp, at, answer))) => {
            let sent = flight.stamps.sent(&flight.socket);
            tokio::spawn(timeout_at(deadline, flight.count_strays()));
            let exchange = match (CLOCK, sent.zip(stamp)) {
                (Clock::User, _) => Exchange::timed(None, at - began, settings.timeout),
                (clock, Some((sent, came))) => {
                    let nanos = came.saturating_sub(sent);
                    Exchange::timed(Some((clock, nanos)), at - began, settings.timeout)
                }
                (clock, None) => {
                    Exchange::failed(clock, Ending::Voided, "the kernel gave no time stamps for the query")
                }
            };
            (exchange, Some(answer))
        }
        Ok(Err(error)) => (refused(&error, server), None),
    }
}

async fn launch(
    settings: &ProbeSettings,
    server: SocketAddr,
    question: Question,
    strays: &Strays,
    stray: Stray,
) -> io::Result<Flight> {
    let family = Family::of(server.ip());
    // A resolver of this machine is reached by no interface of the network's.
    let departure =
        if server.ip().is_loopback() { Departure::of(family) } else { settings.departure(family) };
    let socket = departure.udp()?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    // Only what comes from the server's address and port is delivered.
    socket.connect(server).await?;
    let stamps = Stamps::of(&socket)?;
    let packet = question.packet().map_err(io::Error::other)?;
    socket.send(&packet).await?;
    Ok(Flight { socket, stamps, question, strays: strays.clone(), stray })
}

fn refused(error: &io::Error, server: SocketAddr) -> Exchange {
    let said = unreachable::explain(error, Family::of(server.ip()));
    Exchange::failed(CLOCK, Ending::Refused, format!("DNS server {server}: {said}"))
}

impl Flight {
    /// The stamp of the answer, when it was read, and what it says; the caller bounds the time.
    async fn landing(&mut self) -> io::Result<(Option<i64>, Instant, Answer)> {
        loop {
            let arrival = self.stamps.receive(&self.socket).await?;
            let at = now();
            match self.question.answer(&arrival.packet) {
                Some(answer) => return Ok((arrival.stamp, at, answer)),
                None => self.strays.report(self.stray),
            }
        }
    }

    /// After the answer: keeps the port open for what comes beyond it, until the caller ends it.
    async fn count_strays(mut self) {
        while let Ok(arrival) = self.stamps.receive(&self.socket).await {
            let duplicate = self.question.answer(&arrival.packet).is_some();
            self.strays.report(Stray { duplicate, ..self.stray });
        }
    }
}
