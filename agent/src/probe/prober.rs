//! The prober: from a target and a family to a sample, by the engine of the probe's kind.

#[cfg(target_os = "linux")]
mod together;

#[cfg(not(target_os = "linux"))]
use super::udp;
#[cfg(target_os = "linux")]
use super::{Launch, udp::Udp};
use super::{
    Probe, ProbeError,
    addressing::{Addressing, Choice},
    dns,
    exchange::{Exchange, clip},
    https::{Https, Way},
    icmp::{self, Engine, Icmp},
    settings::{IcmpEngine, ProbeSettings},
    stamped,
    strays::Strays,
    tcp,
    watch::Watch,
};
use crate::{
    notices::Notices,
    sample::{Sample, Stray},
};
use futures::future::{BoxFuture, FutureExt as _};
use peerlight_proto::{
    id::TargetId,
    limits::MAX_DEADLINE,
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Path},
    target::{ProbeKind, Target},
};
#[cfg(target_os = "linux")]
use std::time::Duration;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::sync::mpsc;

/// Sends probes of every kind.
pub struct Prober {
    settings: ProbeSettings,
    addressing: Addressing,
    icmp: Icmp,
    #[cfg(target_os = "linux")]
    udp: Udp,
    https: Https,
    watch: Arc<Watch>,
    strays: Strays,
}

impl Prober {
    /// Opens what probes need; must be called within a tokio runtime. Strays come through the receiver. Without permission
    /// to send ICMP it opens all the same, and ICMP probes say why they fail.
    pub fn open(settings: ProbeSettings) -> Result<(Self, mpsc::Receiver<Stray>), ProbeError> {
        let ProbeSettings { timeout, deadline, .. } = settings;
        if timeout.is_zero() || timeout > deadline || deadline > MAX_DEADLINE {
            return Err(ProbeError::Times { timeout, deadline });
        }
        let (strays, receiver) = Strays::new();
        let prober = Self {
            addressing: Addressing::new(&settings),
            icmp: Icmp::open(&settings, &strays),
            #[cfg(target_os = "linux")]
            udp: Udp::default(),
            https: Https::new(&settings)?,
            watch: Arc::new(Watch::new(&settings)),
            strays,
            settings,
        };
        Ok((prober, receiver))
    }

    /// Why ICMP probes fail, if permission is missing.
    pub fn icmp_problem(&self) -> Option<&ProbeError> {
        self.icmp.problem()
    }

    /// What is wrong with targets now, for the status.
    pub fn notices(&self) -> Notices {
        self.watch.notices()
    }

    async fn send(&self, target: &Target, family: Family) -> Option<Sample> {
        let settings = &self.settings;
        match &target.probe {
            ProbeKind::Https { .. } => {
                self.https.probe(settings, &self.addressing, (target, family), Way::Straight).await
            }
            ProbeKind::Dns if !self.addressing.may_ask(target, family) => {
                let error =
                    "the DNS servers are in no network of [limits] allow and may not be asked so often";
                Some(dns::failed(family, Ending::Skipped, error))
            }
            ProbeKind::Dns => {
                Some(dns::probe(settings, self.addressing.resolver(), target, family, &self.strays).await)
            }
            ProbeKind::Icmp => {
                self.at_address(target, family, Metric::IcmpRtt, async |to| {
                    self.icmp_echo(to, target.id()).await
                })
                .await
            }
            ProbeKind::Tcp { port } => {
                self.at_address(target, family, Metric::TcpConnect, async |to| {
                    tcp::probe(settings, SocketAddr::new(to, *port)).await
                })
                .await
            }
            ProbeKind::Udp { port } => {
                self.at_address(target, family, Metric::UdpRtt, async |to| {
                    self.udp_echo(SocketAddr::new(to, *port), target.id()).await
                })
                .await
            }
        }
    }

    async fn send_through_proxy(&self, target: &Target, family: Family) -> Option<Sample> {
        let ProbeKind::Https { port, .. } = &target.probe else { return None };
        let proxy = self.settings.proxies.of(target.address.as_str(), *port)?;
        self.https.probe(&self.settings, &self.addressing, (target, family), Way::Through(&proxy)).await
    }

    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, reason = "only Linux's engine sees strays"))]
    async fn icmp_echo(&self, to: IpAddr, target: TargetId) -> Exchange {
        match self.icmp.engine(&self.settings, Family::of(to)) {
            #[cfg(target_os = "linux")]
            Ok(Engine::Echoes(echoes)) => echoes.probe(target, SocketAddr::new(to, 0)).await,
            #[cfg(windows)]
            Ok(Engine::System(endpoint)) => endpoint.probe(&self.settings, to).await,
            Ok(Engine::Portable(endpoint)) => endpoint.probe(&self.settings, to).await,
            Err(exchange) => exchange,
        }
    }

    #[cfg(target_os = "linux")]
    async fn udp_echo(&self, to: SocketAddr, target: TargetId) -> Exchange {
        match self.udp.echoes(&self.settings, Family::of(to.ip()), &self.strays) {
            Ok(echoes) => echoes.probe(target, to).await,
            Err(exchange) => exchange,
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn udp_echo(&self, to: SocketAddr, target: TargetId) -> Exchange {
        udp::probe(&self.settings, to, target, &self.strays).await
    }

    /// Chooses the address and has it probed, if there is one and it may be.
    async fn at_address(
        &self,
        target: &Target,
        family: Family,
        metric: Metric,
        probe: impl AsyncFnOnce(IpAddr) -> Exchange,
    ) -> Option<Sample> {
        let (address, exchange) = match self.addressing.choose(target, family).await {
            Choice::At(address) => (Some(address), probe(address).await),
            Choice::OtherFamily => return None,
            Choice::Failed { ending, address, error } => {
                (address, Exchange::failed(expected_clock(metric, self.settings.icmp_engine), ending, error))
            }
        };
        Some(sample(metric, family, address, &exchange))
    }
}

impl Probe for Prober {
    fn probe<'a>(&'a self, target: &'a Target, family: Family) -> BoxFuture<'a, Option<Sample>> {
        async move {
            let mut sample = self.send(target, family).await?;
            self.watch.see(target, &mut sample);
            Some(sample)
        }
        .boxed()
    }

    fn probe_through_proxy<'a>(
        &'a self,
        target: &'a Target,
        family: Family,
    ) -> BoxFuture<'a, Option<Sample>> {
        async move {
            let mut sample = self.send_through_proxy(target, family).await?;
            self.watch.see(target, &mut sample);
            Some(sample)
        }
        .boxed()
    }

    #[cfg(target_os = "linux")]
    fn launch(self: Arc<Self>, launches: Vec<Launch<'_>>, patience: Duration) {
        together::launch(&self, launches, patience);
    }

    fn dropped_strays(&self) -> u64 {
        self.strays.dropped()
    }
}

fn sample(metric: Metric, family: Family, address: Option<IpAddr>, exchange: &Exchange) -> Sample {
    let readings = vec![exchange.reading(metric)];
    let attributes = exchange.error.iter().map(|error| ("error", clip(error))).collect();
    Sample { family, path: Path::Direct, address, readings, attributes }
}

/// The clock that a probe would have been timed by.
fn expected_clock(metric: Metric, engine: IcmpEngine) -> Clock {
    if metric == Metric::TcpConnect {
        tcp::clock()
    } else if metric == Metric::IcmpRtt {
        icmp::clock(engine)
    } else {
        stamped::CLOCK
    }
}
