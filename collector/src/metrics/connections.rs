//! Connections: how many are held, and how those ended that ended badly.

use super::{Label, MAX_TOLD, made};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Why a connection ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionFault {
    /// A trusted proxy sent no usable PROXY header.
    ProxyHeader,
    /// The TLS handshake failed.
    Tls,
    /// PROXY header and TLS handshake took too long.
    SlowHandshake,
    /// A request was open, or its answer not taken, when a deadline came.
    Cut,
    /// The peer broke the connection or HTTP, or took too long for the head of a request.
    Http,
}

impl ConnectionFault {
    const fn word(self) -> &'static str {
        match self {
            Self::ProxyHeader => "proxy-header",
            Self::Tls => "tls",
            Self::SlowHandshake => "slow-handshake",
            Self::Cut => "cut",
            Self::Http => "http",
        }
    }
}

/// Counts connections, and those that ended badly; clones share their counts.
#[derive(Debug, Clone)]
pub struct ConnectionFaults {
    counters: Family<[(&'static str, &'static str); 2], Counter>,
    told: Arc<Mutex<BTreeSet<(IpAddr, ConnectionFault)>>>,
    open: Family<Label, Gauge>,
    limit: Family<Label, Gauge>,
}

/// A connection that is held, until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ConnectionFaults {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        Self {
            counters: made(
                registry,
                "connection_faults",
                "Connections that ended badly, by listener and reason",
                Family::default(),
            ),
            told: Arc::default(),
            open: made(registry, "connections_open", "Connections held now, by listener", Family::default()),
            limit: made(
                registry,
                "connections_limit",
                "Connections held at most, by listener",
                Family::default(),
            ),
        }
    }

    /// Says how many connections a listener holds at most.
    pub fn limit(&self, listener: &'static str, connections: u32) {
        self.limit.get_or_create(&[("listener", listener)]).set(connections.into());
    }

    /// Counts a connection as open.
    pub fn opened(&self, listener: &'static str) -> OpenConnection {
        let open = self.open.get_or_create(&[("listener", listener)]).clone();
        open.inc();
        OpenConnection(open)
    }

    /// How many connections a listener holds, and may hold.
    pub fn level(&self, listener: &'static str) -> (u64, u64) {
        let of = |family: &Family<Label, Gauge>| {
            u64::try_from(family.get_or_create(&[("listener", listener)]).get()).unwrap_or(0)
        };
        (of(&self.open), of(&self.limit))
    }

    /// Counts one, and says whether it is the first of this peer for this reason. Beyond a bound every further peer is
    /// one of many.
    pub fn count(&self, listener: &'static str, fault: ConnectionFault, peer: IpAddr) -> bool {
        self.counters.get_or_create(&[("listener", listener), ("reason", fault.word())]).inc();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_TOLD && told.insert((peer, fault))
    }
}
