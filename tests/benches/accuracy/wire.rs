//! The wire: when each probe's request and answer passed the tools' end of the path, by the kernel's stamps.

use crate::course::Kind;
use peerlight_lab::{
    network::{
        packet::{Packet, Signal},
        tap::Witness,
    },
    truth::{Direction, Stamp},
};
use std::{collections::HashMap, net::IpAddr, time::Duration};

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

/// All probes of a run.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    flights: Vec<(Kind, IpAddr, Flight)>,
    open: HashMap<Request, usize>,
    missed: u64,
}

impl Witness for Wire {
    fn observe(&mut self, _site: usize, direction: Direction, at: Stamp, bytes: &[u8]) {
        let Some(packet) = Packet::read(bytes) else { return };
        let Some(signal) = packet.signal() else { return };
        match (direction, signal) {
            (Direction::Out, Signal::EchoRequest { id, sequence }) => {
                let to = packet.destination;
                self.sent(Kind::Icmp, to, Request::Echo { to, id, sequence }, at);
            }
            (Direction::Out, Signal::Syn { from, sequence, .. }) => {
                let to = packet.destination;
                self.sent(Kind::Tcp, to, Request::Connect { to, from_port: from, number: sequence }, at);
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
    fn sent(&mut self, kind: Kind, to: IpAddr, request: Request, at: Stamp) {
        let number = self.flights.len();
        match self.open.insert(request, number) {
            // A SYN with the same number is the same SYN; an echo request is another probe, however it is numbered.
            Some(earlier) if kind == Kind::Tcp => {
                self.open.insert(request, earlier);
                self.flights[earlier].2.again = true;
            }
            _ => self.flights.push((kind, to, Flight { sent: at, took: None, again: false })),
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

    /// Each target's probes in the order in which they were sent.
    pub(crate) fn flights(&self, kind: Kind) -> HashMap<IpAddr, Vec<Flight>> {
        assert_eq!(self.missed, 0, "the wire's own buffer overflowed: there is no truth to compare with");
        let mut by_address = HashMap::<_, Vec<_>>::new();
        for &(_, address, flight) in self.flights.iter().filter(|&&(of, _, _)| of == kind) {
            by_address.entry(address).or_default().push(flight);
        }
        by_address
    }
}
