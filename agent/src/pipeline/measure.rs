//! The loop that measures: takes due turns, launches their probes, folds their samples, closes intervals. All decisions
//! are the schedule's and the aggregate's; this waits and checks the clocks before every step.
//!
//! Turns are taken at ticks, so that probes that are due at nearly the same time travel together: up to a tick late, never
//! early.

use crate::{
    aggregate::{Aggregate, ClosedInterval, GRACE, Outside, Surroundings, TurnId},
    captures::Captures,
    clock::{Anchor, Clock},
    observe::Observations,
    probe::{Launch, Probe},
    sample::{Sample, Stray},
    schedule::{Entry, Missed, Schedule, Turn},
    service::{self, Heartbeat},
    status::{Board, Noise},
    targets::Selector,
    uplink::UplinkNumber,
};
use peerlight_proto::{
    assignment::Assignment,
    id::{AgentId, SessionId},
    series::Family,
    time::{IntervalLength, Timestamp},
};
use std::{collections::HashSet, future::poll_fn, sync::Arc, task::Poll, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Probes under way at most; a turn beyond is skipped and counted.
const MAX_IN_FLIGHT: usize = 4_096;
/// The clocks are checked at least this often.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// At shutdown probes in flight have this long at most …
const LAST_WAIT: Duration = Duration::from_secs(3);
/// … and then this long for it to be known how they ended.
const LAST_GRACE: Duration = Duration::from_millis(100);

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) agent: AgentId,
    /// One for each uplink, by its number.
    pub(super) outlets: Vec<Outlet>,
    pub(super) selector: Selector,
    pub(super) length: IntervalLength,
    pub(super) deadline: Duration,
    pub(super) clock: Clock,
    pub(super) board: Board,
    pub(super) assignment: watch::Receiver<Option<Assignment>>,
    pub(super) closed: mpsc::Sender<Closed>,
    /// None if no paths are to be captured.
    pub(super) captures: Option<Captures>,
}

/// An uplink, or the only way.
pub(super) struct Outlet {
    /// Which, where there are several.
    pub(super) uplink: Option<String>,
    /// The site's name in the configuration: the uplink until enrolment says it.
    pub(super) site: Option<String>,
    pub(super) probe: Arc<dyn Probe>,
    pub(super) strays: mpsc::Receiver<Stray>,
    pub(super) observations: Observations,
}

/// A closed interval with the session that it was measured in.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) session: SessionId,
    pub(super) interval: ClosedInterval,
}

/// The loop's state.
pub(super) struct Measure {
    parts: Parts,
    schedule: Schedule,
    aggregate: Aggregate,
    session: SessionId,
    anchor: Anchor,
    /// Where probes land. Bounded by [`MAX_IN_FLIGHT`]: each lands once at most.
    landed: mpsc::UnboundedReceiver<Landed>,
    landing: mpsc::UnboundedSender<Landed>,
}

/// The outcome of a turn's probe.
struct Landed {
    id: TurnId,
    entry: Arc<Entry>,
    sample: Option<Sample>,
}

/// Why the loop woke.
enum Wake {
    Time,
    Landed(Vec<Landed>),
    Stray(UplinkNumber, Stray),
    Assignment,
    Shutdown,
}

impl Measure {
    pub(super) fn new(parts: Parts) -> Self {
        let anchor = Anchor::new(&parts.clock.read());
        let aggregate = Aggregate::new(parts.length, parts.deadline);
        let schedule = Schedule::new(parts.agent);
        let session = SessionId::new(rand::random());
        let (landing, landed) = mpsc::unbounded_channel();
        Self { parts, schedule, aggregate, session, anchor, landed, landing }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        self.parts.board.update(|status| status.measuring.sessions = 1);
        let now = self.now().await;
        self.reschedule(now);
        let mut heartbeat = Heartbeat::new(service::watchdog());
        loop {
            let now = self.now().await;
            self.take_turns(now);
            if self.aggregate.next_close().is_some_and(|close| close <= now) {
                let around = self.surroundings();
                let closed = self.aggregate.close(now, &around);
                self.hand_on(closed).await;
            }
            heartbeat.beat(Instant::now()).into_iter().for_each(service::tell);
            let wake = self.wait(now, &shutdown).await;
            // The clocks are checked before anything is believed that came meanwhile.
            let now = self.now().await;
            match wake {
                Wake::Time => {}
                Wake::Landed(landed) => self.land(landed, now),
                Wake::Stray(uplink, stray) => self.aggregate.stray(uplink, stray, now),
                Wake::Assignment => self.reschedule(now),
                Wake::Shutdown => break,
            }
        }
        self.wind_down().await;
    }

    async fn wait(&mut self, now: Timestamp, shutdown: &CancellationToken) -> Wake {
        let turn = self.schedule.next_tick();
        let next = [turn, self.aggregate.next_close()].into_iter().flatten().min();
        let wait = next.map_or(CLOCK_CHECK, |next| next.since(now).min(CLOCK_CHECK));
        let wake_at = Instant::now() + wait;
        let mut landed = Vec::new();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Wake::Shutdown,
            _count = self.landed.recv_many(&mut landed, MAX_IN_FLIGHT) => Wake::Landed(landed),
            (uplink, stray) = next_stray(&mut self.parts.outlets) => Wake::Stray(uplink, stray),
            Ok(()) = self.parts.assignment.changed() => Wake::Assignment,
            () = tokio::time::sleep_until(wake_at) => Wake::Time,
        }
    }

    /// The session's time. If the clocks jumped, the session ends here: what it measured is closed, with the probes in
    /// flight voided, and a new one begins.
    async fn now(&mut self) -> Timestamp {
        let reading = self.parts.clock.read();
        if let Some(why) = self.anchor.discontinuity(&reading) {
            tracing::warn!(%why, "the clocks jumped; a new session begins");
            let around = self.surroundings();
            let closed = self.aggregate.close_all(&around);
            self.hand_on(closed).await;
            self.session = SessionId::new(rand::random());
            self.anchor = Anchor::new(&reading);
            self.schedule.restart(reading.wall);
            self.parts.board.update(|status| status.measuring.sessions += 1);
        }
        self.anchor.time(&reading)
    }

    fn reschedule(&mut self, now: Timestamp) {
        let (entries, refused) = {
            let assignment = self.parts.assignment.borrow_and_update();
            self.parts.selector.entries(assignment.as_ref())
        };
        let scheduled: HashSet<_> = entries.iter().map(Entry::key).collect();
        self.aggregate.retain_lanes(|key| scheduled.contains(key));
        if let Some(captures) = &mut self.parts.captures {
            captures.retain(|key| scheduled.contains(key), now);
        }
        self.parts.board.update(|status| {
            status.measuring.entries = entries.len() as u64;
            status.refused_targets = refused;
        });
        self.schedule.replace(entries, now);
    }

    fn take_turns(&mut self, now: Timestamp) {
        let due = self.schedule.due(now);
        let this_instant = Instant::now().into_std();
        let (mut taken, mut skipped) = (0, 0);
        for missed in due.missed {
            skipped += missed.count;
            self.aggregate.skip(&missed);
        }
        let mut launches: Vec<Vec<_>> = self.parts.outlets.iter().map(|_outlet| Vec::new()).collect();
        for turn in &due.turns {
            let together = launches.get_mut(turn.entry.uplink.index());
            if let Some(together) = together.filter(|_| self.aggregate.in_flight() < MAX_IN_FLIGHT) {
                taken += 1;
                let meant = this_instant.checked_sub(now.since(turn.due)).unwrap_or(this_instant);
                together.push(launch(turn, meant, self.aggregate.begin(turn), &self.landing));
            } else {
                skipped += 1;
                self.aggregate.skip(&Missed {
                    entry: Arc::clone(&turn.entry),
                    first: turn.scheduled,
                    count: 1,
                });
            }
        }
        // By then the aggregate has voided the turn.
        let hopeless = self.parts.deadline + GRACE + CLOCK_CHECK;
        for (outlet, launches) in self.parts.outlets.iter().zip(launches) {
            if !launches.is_empty() {
                Arc::clone(&outlet.probe).launch(launches, hopeless);
            }
        }
        self.parts.board.update(|status| {
            status.measuring.turns += taken;
            status.measuring.skipped += skipped;
            status.measuring.forgotten += due.forgotten;
            status.measuring.stale_samples = self.aggregate.stale();
            status.measuring.dropped_strays =
                self.parts.outlets.iter().map(|outlet| outlet.probe.dropped_strays()).sum();
        });
    }

    fn land(&mut self, landed: Vec<Landed>, now: Timestamp) {
        for Landed { id, entry, sample } in landed {
            if let Some((captures, sample)) = self.parts.captures.as_mut().zip(sample.as_ref()) {
                captures.see(&entry, sample, now);
            }
            if !self.aggregate.end(id, sample) {
                tracing::debug!("a sample came after its interval was closed");
            }
        }
    }

    fn surroundings(&self) -> Surroundings {
        let enrolled = self.parts.board.get().enrolled.map(|enrolled| enrolled.site);
        let in_session = |(family, (address, at)): (Family, _)| (family, (address, self.anchor.time_at(at)));
        let outside = |outlet: &Outlet| Outside {
            uplink: [&outlet.uplink, &enrolled, &outlet.site]
                .into_iter()
                .find_map(Clone::clone)
                .unwrap_or_default()
                .into(),
            observed: outlet.observations.get().into_iter().map(in_session).collect(),
        };
        Surroundings { uplinks: self.parts.outlets.iter().map(outside).collect() }
    }

    async fn hand_on(&self, closed: Vec<ClosedInterval>) {
        for interval in closed {
            if let Some(noise) = Noise::of(&interval) {
                self.parts.board.update(|status| status.measuring.noise = Some(noise));
            }
            let closed = Closed { session: self.session, interval };
            if self.parts.closed.send(closed).await.is_err() {
                tracing::error!("the spool is gone; an interval is lost");
            }
        }
    }

    async fn wind_down(mut self) {
        let until = Instant::now() + self.parts.deadline.min(LAST_WAIT) + LAST_GRACE;
        while self.aggregate.in_flight() > 0
            && let Ok(Some(landed)) = tokio::time::timeout_at(until, self.landed.recv()).await
        {
            let now = self.now().await;
            self.land(vec![landed], now);
        }
        let around = self.surroundings();
        let closed = self.aggregate.close_all(&around);
        self.hand_on(closed).await;
    }
}

/// The next stray of any uplink.
async fn next_stray(outlets: &mut [Outlet]) -> (UplinkNumber, Stray) {
    poll_fn(|context| {
        let numbers = UplinkNumber::first(outlets.len());
        for (uplink, outlet) in numbers.zip(&mut *outlets) {
            if let Poll::Ready(Some(stray)) = outlet.strays.poll_recv(context) {
                return Poll::Ready((uplink, stray));
            }
        }
        Poll::Pending
    })
    .await
}

fn launch<'a>(
    turn: &'a Turn,
    due: std::time::Instant,
    id: TurnId,
    landing: &mpsc::UnboundedSender<Landed>,
) -> Launch<'a> {
    let (landing, entry) = (landing.clone(), Arc::clone(&turn.entry));
    Launch {
        target: &turn.entry.target,
        id: turn.entry.id,
        family: turn.entry.family,
        path: turn.entry.path,
        due,
        landing: Box::new(move |sample| {
            // At the end of this process nobody counts any more.
            let _ended = landing.send(Landed { id, entry, sample });
        }),
    }
}

#[cfg(test)]
mod tests;
