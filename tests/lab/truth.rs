//! The truth: what a probe's packets really took, by stamps that the agents have no part in.
//!
//! On namespaces the stamps are the kernel's at each site's end of its path (see `network::tap`); on 127/8 they are the
//! echo servers' own of what they held back or dropped. Pure: it takes stamps and answers with rows.

use crate::network::packet::{Packet, Signal};
use peerlight_proto::metric::Metric;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    ops::Range,
    time::Duration,
};

#[cfg(test)]
mod tests;

/// An instant: the time since 1970-01-01T00:00:00Z.
pub type Stamp = Duration;

/// How long truth is kept: no question of the lab goes back further.
const KEPT: Duration = Duration::from_hours(1);
/// A request that comes again within this time is a retransmission; later, its identifiers are in use anew.
const REUSED_AFTER: Duration = Duration::from_secs(20);

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
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where connects are probes of their own; other ports are parts of HTTPS probes or no probes at all.
    pub tcp_port: u16,
    /// Where it echoes.
    pub udp_port: u16,
}

/// One row of the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthRow {
    /// The site's provider.
    pub provider: String,
    /// The site's location.
    pub location: String,
    /// The target.
    pub target: String,
    /// The metric.
    pub metric: Metric,
    /// How many probes were answered.
    pub n: u64,
    /// Their median by nearest rank.
    pub p50_ms: Option<f64>,
    /// Their 95th percentile by nearest rank.
    pub p95_ms: Option<f64>,
    /// Which share was lost, answered late or answered only after the SYN was sent again.
    pub loss: Option<f64>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pending,
    Answered(Duration),
    Retransmitted,
    Refused,
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    cell: Cell,
    sent: Stamp,
    outcome: Outcome,
}

/// Collects stamps and matches answers to requests.
#[derive(Debug)]
pub struct Truth {
    places: Vec<Place>,
    endpoints: Vec<Endpoint>,
    by_address: HashMap<IpAddr, usize>,
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
        Self {
            places,
            endpoints,
            by_address,
            open: HashMap::new(),
            closed: VecDeque::new(),
            pruned: Stamp::ZERO,
            missed: 0,
        }
    }

    /// A packet that passed the end of `site`'s path at `at`.
    pub fn observe(&mut self, site: usize, direction: Direction, at: Stamp, bytes: &[u8]) {
        let Some(packet) = Packet::read(bytes) else { return };
        let Some(signal) = packet.signal() else { return };
        match direction {
            Direction::Out => self.sent(site, at, &packet, signal),
            Direction::In => self.received(at, &packet, signal),
        }
    }

    /// A probe that an echo server held back for `held`, or dropped.
    pub fn record(
        &mut self,
        site: usize,
        target: usize,
        metric: Metric,
        sent: Stamp,
        held: Option<Duration>,
    ) {
        let outcome = held.map_or(Outcome::Lost, Outcome::Answered);
        self.close(Flight { cell: Cell { site, target, metric }, sent, outcome });
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
        let Some(&target) = self.by_address.get(&packet.destination) else { return };
        let endpoint = &self.endpoints[target];
        let (metric, identity) = match signal {
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
        let flight = Flight { cell: Cell { site, target, metric }, sent: at, outcome: Outcome::Pending };
        match self.open.get_mut(&request) {
            Some(earlier) if at < earlier.sent + REUSED_AFTER => earlier.outcome = Outcome::Retransmitted,
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
            Signal::SynAck { from, to, answers } => {
                (Identity::Connect { from: to, to: from, sequence: answers }, false)
            }
            Signal::Reset { from, to, answers } => {
                (Identity::Connect { from: to, to: from, sequence: answers }, true)
            }
            Signal::EchoRequest { .. } | Signal::Syn { .. } => return,
        };
        let request = Request { site: packet.destination, target: packet.source, identity };
        // Only the first answer counts; of a SYN sent twice nobody can tell which one was answered.
        if let Some(flight) = self.open.get_mut(&request)
            && flight.outcome == Outcome::Pending
        {
            let took = at.saturating_sub(flight.sent);
            flight.outcome = if refused { Outcome::Refused } else { Outcome::Answered(took) };
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

    /// The rows of the probes that were sent in `span`: an answer counts that took at most `timeout`. Ask when the last
    /// of them has had its time.
    pub fn rows(&self, span: &Range<Stamp>, timeout: Duration) -> Vec<TruthRow> {
        let mut tallies = BTreeMap::<_, Tally>::new();
        for flight in self.open.values().chain(&self.closed).filter(|flight| span.contains(&flight.sent)) {
            let place = &self.places[flight.cell.site];
            let key = (place, &self.endpoints[flight.cell.target].name, flight.cell.metric);
            tallies.entry(key).or_default().count(flight.outcome, timeout);
        }
        tallies.into_iter().map(|((place, target, metric), tally)| tally.row(place, target, metric)).collect()
    }
}

#[derive(Debug, Default)]
struct Tally {
    answered: Vec<Duration>,
    failed: u32,
}

impl Tally {
    fn count(&mut self, outcome: Outcome, timeout: Duration) {
        match outcome {
            Outcome::Answered(took) if took <= timeout => self.answered.push(took),
            // Late, lost, or sent again: what the agents count as loss.
            Outcome::Answered(_) | Outcome::Pending | Outcome::Retransmitted | Outcome::Lost => {
                self.failed += 1;
            }
            Outcome::Refused => {}
        }
    }

    fn row(mut self, place: &Place, target: &str, metric: Metric) -> TruthRow {
        self.answered.sort_unstable();
        let answered = u32::try_from(self.answered.len()).unwrap_or(u32::MAX);
        let all = answered.saturating_add(self.failed);
        TruthRow {
            provider: place.provider.clone(),
            location: place.location.clone(),
            target: target.to_owned(),
            metric,
            n: answered.into(),
            p50_ms: self.percentile(50),
            p95_ms: self.percentile(95),
            loss: (all > 0).then(|| f64::from(self.failed) / f64::from(all)),
        }
    }

    /// The nearest rank: the smallest value that at least `percent` of the values do not exceed.
    fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.answered.len() * percent).div_ceil(100);
        self.answered.get(rank.checked_sub(1)?).map(|took| took.as_secs_f64() * 1_000.0)
    }
}
