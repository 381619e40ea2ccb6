//! The truth: what a probe's packets really took, by stamps that the agents have no part in.
//!
//! On namespaces the stamps are the kernel's at each site's end of its path (see `network::tap`); on 127/8 they are the
//! echo servers' own of what they held back or dropped. Pure: it takes stamps and answers with rows.

use crate::network::{
    disguise::other,
    packet::{Packet, Signal},
    query::hash_of,
};
use peerlight_proto::{measurement::Ending, metric::Metric, series::Family};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    ops::Range,
    time::Duration,
};

mod row;
#[cfg(test)]
mod tests;

use row::Tally;
pub use row::TruthRow;

/// An instant: the time since 1970-01-01T00:00:00Z.
pub type Stamp = Duration;

/// How long truth is kept: no question of the lab goes back further.
const KEPT: Duration = Duration::from_hours(1);
/// A request that comes again within this time is a retransmission; later, its identifiers are in use anew.
const REUSED_AFTER: Duration = Duration::from_secs(20);
/// No probe is sent before its turn, but the clock of the stamps may be this much behind the agent's.
const CLOCKS_APART: Duration = Duration::from_millis(2);

/// A site, as the truth's rows name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its provider's name.
    pub provider: String,
    /// Where it is.
    pub location: String,
}

/// What the truth knows an echo server by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What the report calls it.
    pub name: String,
    /// The name that its addresses are looked up by.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where connects are probes of their own; other ports are parts of HTTPS probes or no probes at all.
    pub tcp_port: u16,
    /// Where it echoes.
    pub udp_port: u16,
}

/// The turns at which an agent has a target probed. A probe belongs to its turn, however late it is sent, so that the
/// truth of a span is about the very probes that the report of this span counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// The target's name.
    pub target: String,
    /// What is measured.
    pub metric: Metric,
    /// Over which family.
    pub family: Family,
    /// One of the turns.
    pub first: Stamp,
    /// The time between two.
    pub step: Duration,
}

/// An answer that an echo server held back, or dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// For which site.
    pub site: usize,
    /// By which echo server.
    pub target: usize,
    /// What the site measures by it.
    pub metric: Metric,
    /// Over which family.
    pub family: Family,
    /// When the site asked.
    pub asked: Stamp,
    /// For how long it was held back; none if it was never given.
    pub held: Option<Duration>,
    /// How often it was given again.
    pub copies: u64,
}

/// Which way a packet passed a site's end of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the site.
    Out,
    /// To the site.
    In,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Identity {
    Echo { id: u16, sequence: u16 },
    Datagram { from: u16, to: u16, payload: u64 },
    Connect { from: u16, to: u16, sequence: u32 },
}

/// A probe's request: who asked whom, and how the answer is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    site: IpAddr,
    target: IpAddr,
    identity: Identity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Cell {
    site: usize,
    target: usize,
    metric: Metric,
}

/// A probe.
#[derive(Debug, Clone, Copy)]
struct Flight {
    cell: Cell,
    sent: Stamp,
    /// The turn that it was sent for.
    turn: Stamp,
    /// Whether its request was sent again.
    again: bool,
    end: Option<End>,
    copies: u64,
    /// How many answers came from another address.
    foreign: u64,
}

/// What ended a probe, and when after it was sent.
#[derive(Debug, Clone, Copy)]
struct End {
    after: Duration,
    refused: bool,
}

/// Collects stamps and matches answers to requests.
#[derive(Debug)]
pub struct Truth {
    places: Vec<Place>,
    endpoints: Vec<Endpoint>,
    by_address: HashMap<IpAddr, usize>,
    by_host: HashMap<u64, usize>,
    turns: HashMap<(Cell, Family), (Stamp, Duration)>,
    open: HashMap<Request, Flight>,
    closed: VecDeque<Flight>,
    pruned: Stamp,
    missed: u64,
}

impl Truth {
    /// Knows nothing yet of what happens between `places` and `endpoints`, each known by its number.
    pub fn new(places: Vec<Place>, endpoints: Vec<Endpoint>) -> Self {
        let by_address = endpoints
            .iter()
            .enumerate()
            .flat_map(|(number, endpoint)| endpoint.addresses.iter().map(move |&address| (address, number)))
            .collect();
        let by_host = endpoints
            .iter()
            .enumerate()
            .map(|(number, endpoint)| (hash_of(&endpoint.host), number))
            .collect();
        Self {
            places,
            endpoints,
            by_address,
            by_host,
            turns: HashMap::new(),
            open: HashMap::new(),
            closed: VecDeque::new(),
            pruned: Stamp::ZERO,
            missed: 0,
        }
    }

    /// The agent at `site` measures at these turns. What is not said here is taken for punctual.
    pub fn expect(&mut self, site: usize, turns: impl IntoIterator<Item = Turns>) {
        for Turns { target, metric, family, first, step } in turns {
            let target = self.endpoints.iter().position(|endpoint| endpoint.name == target);
            if let Some(target) = target.filter(|_| !step.is_zero()) {
                self.turns.insert((Cell { site, target, metric }, family), (first, step));
            }
        }
    }

    /// A packet that passed the end of `site`'s path at `at`.
    pub fn observe(&mut self, site: usize, direction: Direction, at: Stamp, bytes: &[u8]) {
        let Some(packet) = Packet::read(bytes) else { return };
        match (direction, packet.quoted(), packet.signal()) {
            (Direction::Out, _, Some(signal)) => self.sent(site, at, &packet, signal),
            (Direction::In, Some(quoted), _) => self.refused(at, &quoted),
            (Direction::In, None, Some(signal)) => self.received(at, &packet, signal),
            (Direction::Out | Direction::In, _, None) => {}
        }
    }

    /// An answer that an echo server held back, or dropped.
    pub fn record(&mut self, held: Held) {
        let Held { site, target, metric, family, asked, held, copies } = held;
        let mut flight = self.flight(Cell { site, target, metric }, family, asked);
        flight.end = held.map(|after| End { after, refused: false });
        flight.copies = copies;
        self.close(flight);
    }

    fn flight(&self, cell: Cell, family: Family, sent: Stamp) -> Flight {
        let turn = self.turns.get(&(cell, family)).map_or(sent, |&(first, step)| turn_of(sent, first, step));
        Flight { cell, sent, turn, again: false, end: None, copies: 0, foreign: 0 }
    }

    /// Packets that passed without a stamp: as long as there are none, the truth is whole.
    pub fn missed(&mut self, packets: u64) {
        self.missed += packets;
    }

    /// How many packets passed without a stamp.
    pub const fn missed_so_far(&self) -> u64 {
        self.missed
    }

    fn sent(&mut self, site: usize, at: Stamp, packet: &Packet<'_>, signal: Signal) {
        // A query goes to a DNS server, but is about a target.
        let target = if let Signal::Query { query, .. } = signal {
            self.by_host.get(&query.host)
        } else {
            self.by_address.get(&packet.destination)
        };
        let Some(&target) = target else { return };
        let endpoint = &self.endpoints[target];
        let (metric, identity) = match signal {
            Signal::Query { from, to, query } => {
                (Metric::DnsQuery, Identity::Datagram { from, to, payload: query.question })
            }
            Signal::EchoRequest { id, sequence } => (Metric::IcmpRtt, Identity::Echo { id, sequence }),
            Signal::Datagram { from, to, payload } if to == endpoint.udp_port => {
                (Metric::UdpRtt, Identity::Datagram { from, to, payload })
            }
            Signal::Syn { from, to, sequence } if to == endpoint.tcp_port => {
                (Metric::TcpConnect, Identity::Connect { from, to, sequence })
            }
            Signal::Datagram { .. }
            | Signal::Syn { .. }
            | Signal::EchoReply { .. }
            | Signal::SynAck { .. }
            | Signal::Reset { .. } => return,
        };
        let request = Request { site: packet.source, target: packet.destination, identity };
        let flight = self.flight(Cell { site, target, metric }, Family::of(packet.source), at);
        match self.open.get_mut(&request) {
            Some(earlier) if at < earlier.sent + REUSED_AFTER => earlier.again = true,
            _ => {
                if let Some(earlier) = self.open.insert(request, flight) {
                    self.close(earlier);
                }
            }
        }
        self.prune(at);
    }

    fn received(&mut self, at: Stamp, packet: &Packet<'_>, signal: Signal) {
        let (identity, refused) = match signal {
            Signal::EchoReply { id, sequence } => (Identity::Echo { id, sequence }, false),
            Signal::Datagram { from, to, payload } => {
                (Identity::Datagram { from: to, to: from, payload }, false)
            }
            Signal::Query { from, to, query } => {
                (Identity::Datagram { from: to, to: from, payload: query.question }, false)
            }
            Signal::SynAck { from, to, answers } => {
                (Identity::Connect { from: to, to: from, sequence: answers }, false)
            }
            Signal::Reset { from, to, answers } => {
                (Identity::Connect { from: to, to: from, sequence: answers }, true)
            }
            Signal::EchoRequest { .. } | Signal::Syn { .. } => return,
        };
        self.ended(at, Request { site: packet.destination, target: packet.source, identity }, refused);
    }

    /// A router or the target said that `request` cannot be delivered.
    fn refused(&mut self, at: Stamp, request: &Packet<'_>) {
        let identity = match request.signal() {
            Some(Signal::EchoRequest { id, sequence }) => Identity::Echo { id, sequence },
            Some(Signal::Datagram { from, to, payload }) => Identity::Datagram { from, to, payload },
            Some(Signal::Query { from, to, query }) => {
                Identity::Datagram { from, to, payload: query.question }
            }
            Some(Signal::Syn { from, to, sequence }) => Identity::Connect { from, to, sequence },
            Some(Signal::EchoReply { .. } | Signal::SynAck { .. } | Signal::Reset { .. }) | None => return,
        };
        self.ended(at, Request { site: request.source, target: request.destination, identity }, true);
    }

    fn ended(&mut self, at: Stamp, request: Request, refused: bool) {
        let Some(flight) = self.open.get_mut(&request) else {
            return self.disguised(request);
        };
        let repeats = !refused && !matches!(request.identity, Identity::Connect { .. });
        match flight.end {
            None => flight.end = Some(End { after: at.saturating_sub(flight.sent), refused }),
            // Only the first answer counts; TCP's own repetitions are nobody's concern.
            Some(End { refused: false, .. }) if repeats => flight.copies += 1,
            Some(_) => {}
        }
    }

    /// An answer from another address than was asked. Of connects the kernel refuses it by itself.
    fn disguised(&mut self, request: Request) {
        let asked = Request { target: other(request.target), ..request };
        if let Identity::Echo { .. } | Identity::Datagram { .. } = request.identity
            && let Some(flight) = self.open.get_mut(&asked)
        {
            flight.foreign += 1;
        }
    }

    fn close(&mut self, flight: Flight) {
        self.closed.push_back(flight);
        self.prune(flight.sent);
    }

    /// Forgets, once a minute, what is older than [`KEPT`].
    fn prune(&mut self, now: Stamp) {
        if now < self.pruned + Duration::from_mins(1) {
            return;
        }
        self.pruned = now;
        let oldest = now.saturating_sub(KEPT);
        self.open.retain(|_, flight| flight.sent >= oldest);
        self.closed.retain(|flight| flight.sent >= oldest);
    }

    /// The rows of the probes whose turns lie in `span`: an answer counts that took at most `timeout`, and none is
    /// awaited beyond `deadline`. Ask when the last of them has had its time.
    pub fn rows(&self, span: &Range<Stamp>, timeout: Duration, deadline: Duration) -> Vec<TruthRow> {
        let mut tallies = BTreeMap::<_, Tally>::new();
        for flight in self.open.values().chain(&self.closed).filter(|flight| span.contains(&flight.turn)) {
            let place = &self.places[flight.cell.site];
            let key = (place, &self.endpoints[flight.cell.target].name, flight.cell.metric);
            tallies.entry(key).or_default().count(flight, timeout, deadline);
        }
        tallies.into_iter().map(|((place, target, metric), tally)| tally.row(place, target, metric)).collect()
    }
}

/// The last turn that was due when something was sent at `sent`.
fn turn_of(sent: Stamp, first: Stamp, step: Duration) -> Stamp {
    let (sent, first, step) = (nanos(sent + CLOCKS_APART), nanos(first), nanos(step));
    let turn = sent - (sent - first).rem_euclid(step);
    Duration::from_nanos(u64::try_from(turn).unwrap_or_default())
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

impl Flight {
    /// How an agent must see it end.
    fn ending(&self, timeout: Duration, deadline: Duration) -> Ending {
        match self.end.filter(|end| end.after <= deadline) {
            None => Ending::Lost,
            Some(End { refused: true, .. }) => Ending::Refused,
            // Of a SYN sent twice nobody can tell which one was answered.
            Some(_) if self.again => Ending::Retransmitted,
            Some(End { after, .. }) if after > timeout => Ending::Late,
            Some(_) => Ending::Answered,
        }
    }
}
