//! The wire: when each probe's request and answer passed the tools' end of the path, by the kernel's stamps.

use crate::course::Measure;
use peerlight_lab::{
    network::{
        packet::{Packet, Segment, Signal},
        tap::Witness,
    },
    truth::{Direction, Stamp},
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

/// A probe on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flight {
    sent: Stamp,
    /// How long the answer took; none if there was none.
    pub(crate) took: Option<Duration>,
    /// The request was sent again, so that nobody can tell what was answered.
    pub(crate) again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Request {
    Echo { to: IpAddr, id: u16, sequence: u16 },
    Connect { to: IpAddr, from_port: u16, number: u32 },
}

/// A TCP connection that carries data: each segment once, however often it was sent.
#[derive(Debug)]
struct Conversation {
    to: IpAddr,
    seen: HashSet<(Direction, u32)>,
    segments: Vec<(Direction, Stamp)>,
}

/// All probes of a run.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    flights: Vec<(Measure, IpAddr, Flight)>,
    open: HashMap<Request, usize>,
    conversations: Vec<Conversation>,
    talking: HashMap<(IpAddr, u16), usize>,
    missed: u64,
}

impl Witness for Wire {
    fn observe(&mut self, _site: usize, direction: Direction, at: Stamp, bytes: &[u8]) {
        let Some(packet) = Packet::read(bytes) else { return };
        if let Some(segment) = packet.segment() {
            self.said(direction, &packet, segment, at);
        }
        let Some(signal) = packet.signal() else { return };
        match (direction, signal) {
            (Direction::Out, Signal::EchoRequest { id, sequence }) => {
                let to = packet.destination;
                self.sent(Measure::Echo, to, Request::Echo { to, id, sequence }, at);
            }
            (Direction::Out, Signal::Syn { from, sequence, .. }) => {
                let to = packet.destination;
                self.sent(
                    Measure::Connect,
                    to,
                    Request::Connect { to, from_port: from, number: sequence },
                    at,
                );
            }
            (Direction::In, Signal::EchoReply { id, sequence }) => {
                self.answered(Request::Echo { to: packet.source, id, sequence }, at);
            }
            (Direction::In, Signal::SynAck { to, answers, .. }) => {
                self.answered(Request::Connect { to: packet.source, from_port: to, number: answers }, at);
            }
            _ => {}
        }
    }

    fn missed(&mut self, packets: u64) {
        self.missed += packets;
    }
}

impl Wire {
    fn sent(&mut self, measure: Measure, to: IpAddr, request: Request, at: Stamp) {
        let number = self.flights.len();
        match self.open.insert(request, number) {
            // A SYN with the same number is the same SYN; an echo request is another probe, however it is numbered.
            Some(earlier) if measure == Measure::Connect => {
                self.open.insert(request, earlier);
                self.flights[earlier].2.again = true;
                return;
            }
            _ => self.flights.push((measure, to, Flight { sent: at, took: None, again: false })),
        }
        if let Request::Connect { to, from_port, .. } = request {
            self.talking.insert((to, from_port), self.conversations.len());
            self.conversations.push(Conversation { to, seen: HashSet::new(), segments: Vec::new() });
        }
    }

    fn answered(&mut self, request: Request, at: Stamp) {
        let flight = self.open.get(&request).and_then(|&number| self.flights.get_mut(number));
        if let Some((_, _, flight)) = flight
            && flight.took.is_none()
        {
            flight.took = Some(at.saturating_sub(flight.sent));
        }
    }

    fn said(&mut self, direction: Direction, packet: &Packet<'_>, segment: Segment, at: Stamp) {
        let ends = match direction {
            Direction::Out => (packet.destination, segment.from),
            Direction::In => (packet.source, segment.to),
        };
        let conversation = self.talking.get(&ends).and_then(|&number| self.conversations.get_mut(number));
        if let Some(conversation) = conversation
            && conversation.seen.insert((direction, segment.sequence))
        {
            conversation.segments.push((direction, at));
        }
    }

    /// Each target's probes in the order in which they were sent.
    pub(crate) fn flights(&self, measure: Measure) -> HashMap<IpAddr, Vec<Flight>> {
        assert_eq!(self.missed, 0, "the wire's own buffer overflowed: there is no truth to compare with");
        let mut by_address = HashMap::<_, Vec<_>>::new();
        for &(_, address, flight) in self.flights.iter().filter(|&&(of, _, _)| of == measure) {
            by_address.entry(address).or_default().push(flight);
        }
        if matches!(measure, Measure::Handshake | Measure::FirstByte) {
            for conversation in &self.conversations {
                by_address.entry(conversation.to).or_default().push(conversation.flight(measure));
            }
        }
        by_address
    }
}

impl Conversation {
    /// TLS 1.3: hello, the server's flight, then finish and request, and the answer.
    fn flight(&self, measure: Measure) -> Flight {
        let runs: Vec<_> = self.segments.chunk_by(|(one, _), (next, _)| one == next).collect();
        let stamps = match (measure, runs.as_slice()) {
            (Measure::Handshake, [hello, server, ..]) => Some((hello.last(), server.last())),
            (Measure::FirstByte, [_, _, request, answer, ..]) => Some((request.last(), answer.first())),
            _ => None,
        };
        let ends = stamps.and_then(|(start, end)| Some((start?.1, end?.1)));
        Flight {
            sent: ends.map_or(Stamp::ZERO, |(start, _)| start),
            took: ends.map(|(start, end)| end.saturating_sub(start)),
            again: false,
        }
    }
}
