//! Lanes: the probes of one kind over one family, one after the other.

use super::{
    reflector::{Reflectors, UdpReflector},
    row::Row,
};
use crate::probe::{Probe as _, Prober};
use anyhow::Context as _;
use peerlight_proto::{
    metric::Metric,
    series::Family,
    target::{ProbeKind, Target},
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The time between two probes of a lane.
const INTERVAL: Duration = Duration::from_millis(10);
/// Lanes start this much apart, so that they do not march in step.
const STAGGER: Duration = Duration::from_micros(1_700);

/// The probes of one kind over one family.
pub(super) struct Lane {
    target: Target,
    row: Row,
    first: Instant,
    /// What keeps the other end alive, and knows for how long it had each packet.
    reflectors: Arc<Reflectors>,
}

impl Lane {
    /// One lane for each kind and family.
    pub(super) fn all(reflectors: Reflectors) -> anyhow::Result<Vec<Self>> {
        let reflectors = Arc::new(reflectors);
        let mut first = Instant::now();
        let mut lanes = Vec::new();
        let ends = reflectors.ends().flat_map(|end| {
            [
                (end.address, Metric::IcmpRtt, ProbeKind::Icmp),
                (end.address, Metric::TcpConnect, ProbeKind::Tcp { port: end.tcp_port }),
                (end.address, Metric::UdpRtt, ProbeKind::Udp { port: end.udp.port }),
            ]
        });
        for (address, metric, probe) in ends {
            let target = target(address, probe)?;
            let row = Row::new(metric, Family::of(address));
            lanes.push(Self { target, row, first, reflectors: Arc::clone(&reflectors) });
            first += STAGGER;
        }
        Ok(lanes)
    }

    /// Sends `count` probes: a probe's turn is [`INTERVAL`] after the one before, or when that one has ended.
    pub(super) async fn run(mut self, prober: Arc<Prober>, count: u32, shutdown: CancellationToken) -> Row {
        let family = self.row.family;
        let mut due = self.first;
        for _ in 0..count {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = sleep_until(due) => {}
            }
            let gap = due.elapsed();
            if let Some(reflector) = self.udp() {
                reflector.forget_held();
            }
            if let Some(sample) = prober.probe(&self.target, family).await {
                let held = self.udp().and_then(UdpReflector::last_held).unwrap_or_default();
                self.row.count(&sample, gap, held);
            }
            due = (due + INTERVAL).max(Instant::now());
        }
        self.row
    }

    /// The reflector in user space, of the kind of probe that has one.
    fn udp(&self) -> Option<&UdpReflector> {
        let Self { row, reflectors, .. } = self;
        let mine = |end: &&super::reflector::End| Family::of(end.address) == row.family;
        (row.metric == Metric::UdpRtt).then(|| reflectors.ends().find(mine)).flatten().map(|end| &end.udp)
    }
}

fn target(address: IpAddr, probe: ProbeKind) -> anyhow::Result<Target> {
    let address = address.to_string().parse().context("a loopback address is no target")?;
    Ok(Target { name: "selftest".into(), service: String::new(), address, probe })
}
