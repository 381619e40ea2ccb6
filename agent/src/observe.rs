//! Which public address the probes are seen from: asked of the collector from the probes' own source, without a proxy.

use crate::{
    exchange::{Exchange, Question, Source},
    link::Link,
    status::Board,
};
use peerlight_proto::{http::WHOAMI_PATH, series::Family, time::Timestamp, whoami::WhoAmI};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often the address is asked for.
pub const PERIOD: Duration = Duration::from_mins(5);
/// The wait after a failure, or while the agent is not enrolled.
const RETRY: Duration = Duration::from_mins(1);

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

/// From where the probes of `family` are sent.
pub fn probe_source(family: Family, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> IpAddr {
    match family {
        Family::V4 => v4.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
        Family::V6 => v6.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
    }
}

/// Observes the address of `family` from `source` for ever.
pub async fn follow(link: Link, family: Family, source: IpAddr, observations: Observations, board: Board) {
    loop {
        let wait = match observe(&link, family, source).await {
            Ok(Some((address, at))) => {
                observations.set(family, address, at);
                board.update(|status| {
                    status.observed.insert(family.to_string(), address);
                });
                PERIOD
            }
            Ok(None) => RETRY,
            Err(error) => {
                // Not every site has both families, so this is no news.
                tracing::debug!(%family, %error, "the public address could not be observed");
                RETRY
            }
        };
        tokio::time::sleep(wait).await;
        let too_old = link.clock.read().monotonic.saturating_sub(PERIOD * 3);
        if observations.get().get(&family).is_some_and(|(_, at)| *at < too_old) {
            observations.forget(family);
            board.update(|status| {
                status.observed.remove(family.as_str());
            });
        }
    }
}

/// None while the agent is not enrolled, or if the collector cannot know the address.
async fn observe(link: &Link, family: Family, source: IpAddr) -> anyhow::Result<Option<(IpAddr, Duration)>> {
    let Some(enrolment) = link.enrolment()? else { return Ok(None) };
    let exchange = link.open(&enrolment, Source::Bound(source))?;
    let Some(address) = who_am_i(&exchange).await? else { return Ok(None) };
    anyhow::ensure!(Family::of(address) == family, "the collector saw {address}, which is not {family}");
    Ok(Some((address, link.clock.read().monotonic)))
}

/// Asks once; believes only a signed answer.
async fn who_am_i(exchange: &Exchange) -> anyhow::Result<Option<IpAddr>> {
    let answer = exchange.ask(&Question::get(WHOAMI_PATH)).await?;
    if answer.status != 200 {
        anyhow::bail!("status {}", answer.status);
    }
    answer.signed?;
    let seen: WhoAmI = serde_json::from_slice(&answer.body)?;
    exchange.learn_time(Timestamp::from_micros(seen.collector_time_us), answer.at);
    Ok(seen.address.map(|address| address.to_canonical()))
}
