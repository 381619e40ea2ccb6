//! Linux: probes that are launched together. Echoes whose addresses are known travel together; what has to wait for an address,
//! or is no echo, goes alone.

use super::{Prober, expected_clock, sample};
use crate::probe::{
    Landing, Launch,
    addressing::Choice,
    echo::{Echoes, Request},
    exchange::{Exchange, now},
    icmp::Engine,
    launch_alone,
    watch::Watch,
};
use futures::future::FutureExt as _;
use peerlight_proto::{
    id::TargetId,
    metric::Metric,
    series::{Family, Path},
    target::{ProbeKind, Target},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// The requests of each socket.
type Batch = BTreeMap<(Metric, Family), Vec<Request>>;

/// An echo that has no address yet.
struct Echo {
    port: u16,
    id: TargetId,
    awaited: Awaited,
}

/// An echo whose outcome is wanted.
struct Awaited {
    metric: Metric,
    family: Family,
    watch: Arc<Watch>,
    /// Whose address is watched, because it is a name.
    watched: Option<Target>,
    /// When it was meant to leave …
    due: Instant,
    /// … and when it was on its way to the engine, which mostly sends at once.
    under_way: Instant,
    landing: Landing,
}

impl Awaited {
    fn land(self, address: Option<IpAddr>, exchange: &Exchange) {
        let mut sample = sample(self.metric, self.family, address, exchange);
        if let Some(target) = &self.watched {
            self.watch.see(target, &mut sample);
        }
        let handed = exchange.handed.unwrap_or(self.under_way);
        (self.landing)(Some(sample.left(handed, self.due)));
    }
}

/// Launches each.
pub(super) fn launch(prober: &Arc<Prober>, launches: Vec<Launch<'_>>, patience: Duration) {
    let (mut batch, under_way) = (Batch::new(), now());
    for launch in launches {
        let echo = prober.echo(launch.target, launch.family).filter(|_| launch.path == Path::Direct);
        let Some((metric, port)) = echo else {
            launch_alone(Arc::clone(prober), launch, patience);
            continue;
        };
        let Launch { target, id, family, due, landing, path: _direct } = launch;
        let literal = target.address.ip();
        let watched = literal.is_none().then(|| target.clone());
        let watch = Arc::clone(&prober.watch);
        let echo =
            Echo { port, id, awaited: Awaited { metric, family, watch, watched, due, under_way, landing } };
        if let Some(address) = literal {
            let choice = prober.addressing.literal(target, address, family);
            prober.aim(echo, choice, &mut batch);
            continue;
        }
        let (target, chooser) = (target.clone(), Arc::clone(prober));
        let mut choosing = async move { chooser.addressing.choose(&target, family).await }.boxed();
        if let Some(choice) = (&mut choosing).now_or_never() {
            prober.aim(echo, choice, &mut batch);
            continue;
        }
        let prober = Arc::clone(prober);
        tokio::spawn(async move {
            let (choice, mut alone) = (choosing.await, Batch::new());
            prober.aim(echo, choice, &mut alone);
            prober.send_batch(alone);
        });
    }
    prober.send_batch(batch);
}

impl Prober {
    /// The metric and port of a probe that is an echo of ours.
    fn echo(&self, target: &Target, family: Family) -> Option<(Metric, u16)> {
        let (metric, port) = match &target.probe {
            ProbeKind::Icmp => (Metric::IcmpRtt, 0),
            ProbeKind::Udp { port } => (Metric::UdpRtt, *port),
            ProbeKind::Tcp { .. } | ProbeKind::Https { .. } | ProbeKind::Dns => return None,
        };
        self.echoes(metric, family).map(|_| (metric, port))
    }

    /// Adds an echo to the batch, or lands it at once if it goes nowhere.
    fn aim(&self, echo: Echo, choice: Choice, batch: &mut Batch) {
        let Echo { port, id, awaited } = echo;
        let (metric, family) = (awaited.metric, awaited.family);
        match choice {
            Choice::OtherFamily => (awaited.landing)(None),
            Choice::Failed { ending, address, error } => {
                let clock = expected_clock(metric, self.settings.icmp_engine);
                awaited.land(address, &Exchange::failed(clock, ending, error));
            }
            Choice::At(chosen) => {
                let landing = Box::new(move |exchange: Exchange| awaited.land(Some(chosen), &exchange));
                let request = Request { target: id, to: SocketAddr::new(chosen, port), landing };
                batch.entry((metric, family)).or_default().push(request);
            }
        }
    }

    fn send_batch(&self, batch: Batch) {
        for ((metric, family), requests) in batch {
            match self.echoes(metric, family) {
                Some(Ok(echoes)) => echoes.send(requests),
                Some(Err(exchange)) => {
                    for request in requests {
                        (request.landing)(exchange.clone());
                    }
                }
                None => {}
            }
        }
    }

    /// The echoes of a metric and family, or how its probes end without them; none if another engine sends them.
    fn echoes(&self, metric: Metric, family: Family) -> Option<Result<&Echoes, Exchange>> {
        if metric == Metric::UdpRtt {
            return Some(self.udp.echoes(&self.settings, family, &self.strays));
        }
        match self.icmp.engine(&self.settings, family) {
            Ok(Engine::Echoes(echoes)) => Some(Ok(echoes)),
            Ok(Engine::Portable(_)) => None,
            Err(exchange) => Some(Err(exchange)),
        }
    }
}
