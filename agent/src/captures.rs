//! Captures: the path to a target, found and kept when the target turns bad, and once more when it is good again, so that
//! there is something to compare when somebody asks the next morning.
//!
//! When is [`rule`]'s to decide, and pure; this traces beside the schedule, a few at a time, and keeps what it finds.

mod rule;
mod shelf;
mod show;

use crate::{
    paths::StateDir,
    probe::ProbeSettings,
    sample::{Outcome, Sample},
    schedule::{Entry, EntryKey},
    status::{Board, Captured},
    trace::{self, Plan, Route},
    uplink::Way,
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Family, Path},
    time::Timestamp,
};
use rule::{Rule, Seen, Trigger};
use serde::{Deserialize, Serialize};
use shelf::Shelf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) use show::show;

/// How many paths are traced at once: each sends at most some ninety packets.
const AT_ONCE: usize = 4;

/// A path that was found because of what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Capture {
    /// When it was decided to look, in microseconds since 1970 UTC.
    taken_us: i64,
    /// What the target is called here.
    name: String,
    family: Family,
    /// Why.
    trigger: Trigger,
    path: Route,
}

/// What is probed over one uplink.
struct Side {
    rule: Rule<EntryKey>,
    /// How its probes are sent: paths are traced from their source address.
    settings: ProbeSettings,
}

/// Watches samples and captures paths.
pub(crate) struct Captures {
    /// One for each uplink, by its number.
    sides: Vec<Side>,
    tracing: Arc<Semaphore>,
    shelf: Shelf,
    board: Board,
    stop: CancellationToken,
}

impl Captures {
    /// Keeps what it captures in the state directory. What is under way ends with `stop`.
    pub(crate) fn new(state: &StateDir, ways: &[Way], board: Board, stop: CancellationToken) -> Self {
        let side = |way: &Way| Side { rule: Rule::new(), settings: way.settings.clone() };
        Self {
            sides: ways.iter().map(side).collect(),
            tracing: Arc::new(Semaphore::new(AT_ONCE)),
            shelf: Shelf::new(state.captures()),
            board,
            stop,
        }
    }

    /// Takes in the outcome of a probe, and captures the path to its target if that is a reason to.
    pub(crate) fn see(&mut self, entry: &Entry, sample: &Sample, now: Timestamp) {
        let Some(became) = seen(sample).filter(|_| entry.path == Path::Direct) else { return };
        let Some(side) = self.sides.get_mut(entry.uplink.index()) else { return };
        // A trace binds to no interface: it would find another path.
        if side.settings.interface.is_some() {
            return;
        }
        let host = (&entry.target.address, entry.family);
        let Some(trigger) = side.rule.see(entry.key(), host, became, now) else { return };
        let address = sample.address.or_else(|| entry.target.address.ip());
        let plan = address
            .and_then(|address| Plan::of_probes(&entry.target, address, side.settings.source(entry.family)));
        let Some(plan) = plan else { return };
        // With all places taken the reason stands until the next probe.
        let Ok(place) = Arc::clone(&self.tracing).try_acquire_owned() else { return };
        side.rule.captured(entry.key(), host, trigger, now);
        let (stop, store, board) = (self.stop.clone(), self.shelf.clone(), self.board.clone());
        let (name, family, taken_us) = (entry.target.name.clone(), entry.family, now.as_micros());
        tracing::info!(target = name, %family, because = %trigger, "the path to a target is captured");
        tokio::spawn(async move {
            let _place = place;
            match trace::find(&plan, &stop).await {
                Ok(path) if !stop.is_cancelled() => {
                    keep(store, Capture { taken_us, name, family, trigger, path }, &board).await;
                }
                Ok(_cut_short) => {}
                Err(error) => {
                    tracing::warn!(
                        target = name,
                        error = format!("{error:#}"),
                        "the path to a target could not be captured"
                    );
                }
            }
        });
    }

    /// Forgets what is no longer probed.
    pub(crate) fn retain(&mut self, keep: impl Fn(&EntryKey) -> bool, now: Timestamp) {
        for side in &mut self.sides {
            side.rule.retain(&keep, now);
        }
    }
}

/// Writes a capture where the disk may take its time.
async fn keep(shelf: Shelf, capture: Capture, board: &Board) {
    let latest = format!("{} over IP{}: {}", capture.name, capture.family, capture.trigger);
    let taken_us = capture.taken_us;
    match tokio::task::spawn_blocking(move || shelf.keep(&capture)).await {
        Ok(Ok(())) => board.update(|status| {
            let count = status.captured.as_ref().map_or(0, |captured| captured.count);
            status.captured = Some(Captured { count: count + 1, taken_us, latest });
        }),
        Ok(Err(error)) => tracing::warn!(%error, "a captured path could not be kept"),
        Err(error) => tracing::warn!(%error, "a captured path could not be kept"),
    }
}

/// What a probe tells of the path: its round trip, or its loss. Of HTTPS the connect tells; a refusal and what never left say
/// nothing.
fn seen(sample: &Sample) -> Option<Seen> {
    let tells =
        |metric| matches!(metric, Metric::IcmpRtt | Metric::TcpConnect | Metric::UdpRtt | Metric::HttpsTcp);
    match sample.readings.iter().find(|reading| tells(reading.metric))?.outcome {
        Outcome::Answered { latency, .. } => {
            Some(Seen::Answered(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX)))
        }
        Outcome::Failed(Ending::Lost | Ending::Late | Ending::Retransmitted) => Some(Seen::Lost),
        Outcome::Failed(
            Ending::Skipped
            | Ending::Voided
            | Ending::DnsFailed
            | Ending::SendFailed
            | Ending::Refused
            | Ending::Answered,
        ) => None,
    }
}

#[cfg(test)]
mod fixture {
    use super::*;
    use crate::trace::{HopAddress, HopLatency, Method, RouteHop};
    use peerlight_proto::series::Clock;
    use std::net::IpAddr;

    /// A path that ends at a router, captured at that second.
    pub(super) fn capture(second: i64) -> Capture {
        let router = IpAddr::from([192, 0, 2, 1]);
        let hop = RouteHop {
            hop: 1,
            sent: 3,
            answered: 3,
            addresses: vec![HopAddress { address: router, answered: 3 }],
            latency_ms: Some(HopLatency { min: 0.4, median: 0.5, max: 1.25 }),
            clock: Some(Clock::Kernel),
            says: vec!["time exceeded".to_owned()],
        };
        let path = Route {
            target: "outlook.office365.com".to_owned(),
            address: IpAddr::from([192, 0, 2, 9]),
            port: Some(443),
            method: Method::Tcp,
            reached: false,
            blocked: false,
            max_hops: 30,
            asked_hops: 30,
            hops: vec![hop],
        };
        let (name, trigger) = ("exchange-online".to_owned(), Trigger::Lost { probes: 3 });
        Capture { taken_us: second * 1_000_000, name, family: Family::V4, trigger, path }
    }
}
