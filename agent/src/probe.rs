//! Probes: send one packet, connect or exchange, and say how it ended.
//!
//! [`Prober`] is the real one: it chooses an address (`addressing`), asks the engine of the probe's kind, and makes a
//! [`Sample`]. Every engine reports its time through `exchange`, which judges it.

mod addressing;
mod ceilings;
mod dns;
mod exchange;
mod expected;
mod https;
mod icmp;
mod pace;
mod prober;
mod resolver;
mod routes;
mod settings;
mod stamped;
mod strays;
mod tcp;
mod trust;
mod udp;
mod watch;

use crate::sample::Sample;
use futures::future::BoxFuture;
use peerlight_proto::{series::Family, target::Target};

pub use ceilings::{Ceilings, OutsideCeilings};
pub use expected::Expectations;
pub(crate) use https::verifier;
pub use prober::{ProbeError, Prober};
pub use settings::{IcmpEngine, ProbeSettings};
pub use trust::Trust;

/// Sends one probe to a target over one family and resolves, by the deadline, to how it ended. Never fails for what the
/// network did: a failure of this machine is an ending, too. None when the target has no address of that family.
pub trait Probe: Send + Sync {
    /// Sends one probe.
    fn probe<'a>(&'a self, target: &'a Target, family: Family) -> BoxFuture<'a, Option<Sample>>;

    /// How many strays found their channel full.
    fn dropped_strays(&self) -> u64;
}
