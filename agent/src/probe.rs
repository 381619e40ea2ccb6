//! Probes: send one packet, connect or exchange, and say how it ended.
//!
//! [`Prober`] is the real one: it chooses an address (`addressing`), asks the engine of the probe's kind, and makes a
//! [`Sample`]. Every engine reports its time through `exchange`, which judges it. Echoes (`echo`) that are launched together
//! travel together.

mod addressing;
mod ceilings;
mod departure;
mod dns;
mod dscp;
#[cfg(target_os = "linux")]
mod echo;
mod error;
mod exchange;
mod expected;
mod front_doors;
mod https;
mod icmp;
mod interception;
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
mod unreachable;
mod watch;

use crate::sample::Sample;
use futures::future::{self, BoxFuture, FutureExt as _};
use peerlight_proto::{
    id::TargetId,
    series::{Family, Path},
    target::Target,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use ceilings::{Ceilings, OutsideCeilings};
pub use departure::{CAN_STEER, Departure, DepartureError, Interface, ParseInterfaceError};
pub use dscp::{Dscp, ParseDscpError};
pub use error::ProbeError;
pub use expected::Expectations;
pub(crate) use https::verifier;
pub use prober::Prober;
pub use settings::{IcmpEngine, ProbeSettings};
pub use trust::Trust;

/// Sends one probe to a target over one family and resolves, by the deadline, to how it ended. Never fails for what the
/// network did: a failure of this machine is an ending, too. None when the target has no address of that family.
pub trait Probe: Send + Sync + 'static {
    /// Sends one probe.
    fn probe<'a>(&'a self, target: &'a Target, family: Family) -> BoxFuture<'a, Option<Sample>>;

    /// The same through the proxy. None also where the target is not reached through any.
    fn probe_through_proxy<'a>(
        &'a self,
        _target: &'a Target,
        _family: Family,
    ) -> BoxFuture<'a, Option<Sample>> {
        future::ready(None).boxed()
    }

    /// Sends many probes now, together where that is cheaper; each lands by itself, as long as this lives. Needs a
    /// tokio runtime. One that has not ended after `patience` is given up and lands nowhere.
    fn launch(self: Arc<Self>, launches: Vec<Launch<'_>>, patience: Duration) {
        for launch in launches {
            launch_alone(Arc::clone(&self), launch, patience);
        }
    }

    /// How many strays found their channel full.
    fn dropped_strays(&self) -> u64;
}

/// A probe that is to be sent now.
pub struct Launch<'a> {
    /// To what.
    pub target: &'a Target,
    /// Its identity.
    pub id: TargetId,
    /// Over which family.
    pub family: Family,
    /// Straight or through the proxy.
    pub path: Path,
    /// When it was meant to leave.
    pub due: Instant,
    /// Where its outcome is wanted, with how late it left.
    pub landing: Landing,
}

/// Where the outcome of a probe is wanted.
pub type Landing = Box<dyn FnOnce(Option<Sample>) + Send>;

/// One probe in a task of its own.
fn launch_alone(probe: Arc<impl Probe + ?Sized>, launch: Launch<'_>, patience: Duration) {
    let Launch { target, family, path, due, landing, .. } = launch;
    let target = target.clone();
    tokio::spawn(async move {
        let began = exchange::now();
        let probing = match path {
            Path::Direct => probe.probe(&target, family),
            Path::Proxy => probe.probe_through_proxy(&target, family),
        };
        match tokio::time::timeout(patience, probing).await {
            Ok(sample) => landing(sample.map(|sample| sample.left(began, due))),
            Err(_elapsed) => tracing::warn!("a probe did not end by its deadline; its turn is voided"),
        }
    });
}
