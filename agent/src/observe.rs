//! Which public address the probes are seen from: asked of the collector from the probes' own source, without a proxy,
//! every few minutes and as soon as the kernel would send probes from another address.

mod vigil;

use crate::{
    cadence::Cadence,
    credential::Enrolment,
    exchange::{Exchange, Question, Source, parse_address},
    link::{Link, Way},
    probe::Departure,
    status::Board,
};
use peerlight_proto::{http::WHOAMI_PATH, series::Family, time::Timestamp, whoami::WhoAmI};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::{Host, Url};
use vigil::{Duty, Vigil};

/// An observation is forgotten when the collector could not be asked for this many periods.
const PERIODS_KEPT: u32 = 3;

/// The public address of each family and the monotonic instant of its observation. A cheap shared handle.
#[derive(Debug, Clone, Default)]
pub struct Observations(Arc<Mutex<BTreeMap<Family, (IpAddr, Duration)>>>);

impl Observations {
    /// What was observed so far.
    pub fn get(&self) -> BTreeMap<Family, (IpAddr, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps an observation of the monotonic instant `at`.
    pub fn set(&self, family: Family, address: IpAddr, at: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(family, (address, at));
    }

    fn forget(&self, family: Family) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&family);
    }
}

/// Observes the public address of one family.
#[derive(Debug)]
pub struct Observer {
    /// The way to the collector.
    pub link: Link,
    /// Which uplink, where there are several.
    pub uplink: Option<String>,
    /// How its probes leave.
    pub departure: Departure,
    /// Where observations are kept.
    pub observations: Observations,
    /// Where they are shown.
    pub board: Board,
    /// How often to ask and to look.
    pub cadence: Cadence,
}

impl Observer {
    /// Observes for ever.
    pub async fn run(self) {
        let mut way = Way::new(self.link.clone(), Source::Bound(self.departure.clone()));
        let mut vigil = Vigil::new(self.cadence);
        let mut collector = None;
        let mut looks = tokio::time::interval(self.cadence.look);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = self.link.clock.read().monotonic;
            if vigil.is_due(now) {
                // An outage must not make us forget where the collector is.
                collector = self.find_collector().await.or(collector);
            }
            self.forget_older_than(now.saturating_sub(self.cadence.period * PERIODS_KEPT));
            match vigil.look(collector.and_then(|to| self.departure.towards(to).ok()), now) {
                Duty::Rest => continue,
                Duty::Ask => {}
                Duty::AskAnew => {
                    tracing::info!(over = self.name(), "probes leave from another address");
                    self.forget();
                }
            }
            let succeeded = self.ask(&mut way).await;
            vigil.asked(succeeded, self.link.clock.read().monotonic);
        }
    }

    /// False if the address is not known now.
    async fn ask(&self, way: &mut Way) -> bool {
        match self.observe(way).await {
            Ok(Some(address)) => {
                self.observations.set(self.departure.family, address, self.link.clock.read().monotonic);
                self.board.update(|status| {
                    status.observed.insert(self.name(), address);
                });
                true
            }
            Ok(None) => false,
            Err(error) => {
                // Not every site has both families, so this is no news.
                tracing::debug!(over = self.name(), %error, "the public address could not be observed");
                false
            }
        }
    }

    /// What the status shows the address by.
    fn name(&self) -> String {
        let family = self.departure.family;
        self.uplink.as_ref().map_or_else(|| family.to_string(), |uplink| format!("{family} over {uplink}"))
    }

    /// None while the agent is not enrolled, or if the collector cannot know the address.
    async fn observe(&self, way: &mut Way) -> anyhow::Result<Option<IpAddr>> {
        let Some(exchange) = way.exchange()? else { return Ok(None) };
        let Some(address) = who_am_i(exchange).await? else { return Ok(None) };
        let seen = Family::of(address);
        anyhow::ensure!(
            seen == self.departure.family,
            "the collector saw {address}, which is not {}",
            self.departure.family
        );
        Ok(Some(address))
    }

    /// The collector's address of this family, as far as it is known and resolves.
    async fn find_collector(&self) -> Option<SocketAddr> {
        let Enrolment { collector, .. } = self.link.enrolment().ok()??;
        let addresses = resolve(&parse_address(&collector).ok()?).await.ok()?;
        addresses.into_iter().find(|address| Family::of(address.ip()) == self.departure.family)
    }

    fn forget_older_than(&self, oldest: Duration) {
        if self.observations.get().get(&self.departure.family).is_some_and(|(_, at)| *at < oldest) {
            self.forget();
        }
    }

    fn forget(&self) {
        self.observations.forget(self.departure.family);
        self.board.update(|status| {
            status.observed.remove(&self.name());
        });
    }
}

async fn resolve(collector: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = collector.port_or_known_default().unwrap_or_default();
    Ok(match collector.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, port)).await?.collect(),
        None => Vec::new(),
    })
}

/// Asks once; believes only a signed answer.
async fn who_am_i(exchange: &Exchange) -> anyhow::Result<Option<IpAddr>> {
    let answer = exchange.ask(&Question::get(WHOAMI_PATH)).await?;
    if answer.status != 200 {
        anyhow::bail!("status {}", answer.status);
    }
    answer.signed?;
    let seen: WhoAmI = serde_json::from_slice(&answer.body)?;
    exchange.learn_time(Timestamp::from_micros(seen.collector_time_us), answer.window);
    Ok(seen.address.map(|address| address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_collector_that_is_named_by_its_address_needs_no_lookup() {
        for (url, expected) in
            [("https://192.0.2.1", "192.0.2.1:443"), ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443")]
        {
            let found = resolve(&parse_address(url).unwrap()).await.unwrap();
            assert_eq!(found, [expected.parse().unwrap()]);
        }
    }
}
