//! The loop that measures: takes due turns, sends their probes, folds their samples, closes intervals. All decisions
//! are the schedule's and the aggregate's; this waits, spawns and checks the clocks before every step.

use crate::{
    aggregate::{Aggregate, ClosedInterval, GRACE, Surroundings, TurnId},
    clock::{Anchor, Clock},
    observe::Observations,
    probe::Probe,
    sample::{Sample, Stray},
    schedule::{Missed, Schedule, Turn},
    status::Board,
    targets::Selector,
};
use peerlight_proto::{
    assignment::Assignment,
    id::{AgentId, SessionId},
    series::Family,
    time::{IntervalLength, Timestamp},
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Probes under way at most; a turn beyond is skipped and counted.
const MAX_IN_FLIGHT: usize = 4_096;
/// The clocks are checked at least this often.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// At shutdown probes in flight have this long at most.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) agent: AgentId,
    pub(super) probe: Arc<dyn Probe>,
    pub(super) strays: mpsc::Receiver<Stray>,
    pub(super) selector: Selector,
    pub(super) length: IntervalLength,
    pub(super) deadline: Duration,
    /// The site's name in the configuration: the uplink until enrolment says it.
    pub(super) site: Option<String>,
    pub(super) clock: Clock,
    pub(super) observations: Observations,
    pub(super) board: Board,
    pub(super) assignment: watch::Receiver<Option<Assignment>>,
    pub(super) closed: mpsc::Sender<Closed>,
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
    flights: JoinSet<Option<(TurnId, Option<Sample>)>>,
}

/// Why the loop woke.
enum Wake {
    Time,
    Landed(Result<Option<(TurnId, Option<Sample>)>, JoinError>),
    Stray(Stray),
    Assignment,
    Shutdown,
}

impl Measure {
    pub(super) fn new(parts: Parts) -> Self {
        let anchor = Anchor::new(&parts.clock.read());
        let aggregate = Aggregate::new(parts.length, parts.deadline);
        let schedule = Schedule::new(parts.agent);
        let session = SessionId::new(rand::random());
        Self { parts, schedule, aggregate, session, anchor, flights: JoinSet::new() }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        self.parts.board.update(|status| status.measuring.sessions = 1);
        let now = self.now().await;
        self.reschedule(now);
        loop {
            let now = self.now().await;
            self.take_turns(now);
            if self.aggregate.next_close().is_some_and(|close| close <= now) {
                let around = self.surroundings();
                let closed = self.aggregate.close(now, &around);
                self.hand_on(closed).await;
            }
            let wake = self.wait(now, &shutdown).await;
            // The clocks are checked before anything is believed that came meanwhile.
            let now = self.now().await;
            match wake {
                Wake::Time => {}
                Wake::Landed(landed) => self.land(landed),
                Wake::Stray(stray) => self.aggregate.stray(stray, now),
                Wake::Assignment => self.reschedule(now),
                Wake::Shutdown => break,
            }
        }
        self.wind_down().await;
    }

    async fn wait(&mut self, now: Timestamp, shutdown: &CancellationToken) -> Wake {
        let next = [self.schedule.next(), self.aggregate.next_close()].into_iter().flatten().min();
        let wait = next.map_or(CLOCK_CHECK, |next| next.since(now).min(CLOCK_CHECK));
        let wake_at = Instant::now() + wait;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Wake::Shutdown,
            Some(landed) = self.flights.join_next() => Wake::Landed(landed),
            Some(stray) = self.parts.strays.recv() => Wake::Stray(stray),
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
        let scheduled: HashSet<_> = entries.iter().map(|entry| (entry.id, entry.family)).collect();
        self.aggregate.retain_lanes(|target, family| scheduled.contains(&(target, family)));
        self.parts.board.update(|status| {
            status.measuring.entries = entries.len() as u64;
            status.refused_targets = refused;
        });
        self.schedule.replace(entries, now);
    }

    fn take_turns(&mut self, now: Timestamp) {
        let due = self.schedule.due(now);
        let (mut taken, mut skipped) = (0, 0);
        for missed in due.missed {
            skipped += missed.count;
            self.aggregate.skip(&missed);
        }
        for turn in due.turns {
            if self.flights.len() < MAX_IN_FLIGHT {
                taken += 1;
                self.send(&turn);
            } else {
                skipped += 1;
                self.aggregate.skip(&Missed { entry: turn.entry, first: turn.scheduled, count: 1 });
            }
        }
        self.parts.board.update(|status| {
            status.measuring.turns += taken;
            status.measuring.skipped += skipped;
            status.measuring.forgotten += due.forgotten;
            status.measuring.stale_samples = self.aggregate.stale();
            status.measuring.dropped_strays = self.parts.probe.dropped_strays();
        });
    }

    fn send(&mut self, turn: &Turn) {
        let id = self.aggregate.begin(turn);
        let (probe, entry) = (Arc::clone(&self.parts.probe), Arc::clone(&turn.entry));
        // By then the aggregate has voided the turn.
        let hopeless = self.parts.deadline + GRACE + CLOCK_CHECK;
        self.flights.spawn(async move {
            let sample = tokio::time::timeout(hopeless, probe.probe(&entry.target, entry.family)).await;
            sample.ok().map(|sample| (id, sample))
        });
    }

    fn land(&mut self, landed: Result<Option<(TurnId, Option<Sample>)>, JoinError>) {
        match landed {
            Ok(Some((id, sample))) => {
                if !self.aggregate.end(id, sample) {
                    tracing::debug!("a sample came after its interval was closed");
                }
            }
            Ok(None) => tracing::warn!("a probe did not end by its deadline; its turn is voided"),
            Err(error) => tracing::error!(%error, "a probe failed; its turn is voided"),
        }
    }

    fn surroundings(&self) -> Surroundings {
        let enrolled = self.parts.board.get().enrolled.map(|enrolled| enrolled.site);
        let observed = self.parts.observations.get();
        let in_session = |(family, (address, at)): (Family, _)| (family, (address, self.anchor.time_at(at)));
        Surroundings {
            uplink: enrolled.or_else(|| self.parts.site.clone()).unwrap_or_default(),
            observed: observed.into_iter().map(in_session).collect(),
        }
    }

    async fn hand_on(&self, closed: Vec<ClosedInterval>) {
        for interval in closed {
            let closed = Closed { session: self.session, interval };
            if self.parts.closed.send(closed).await.is_err() {
                tracing::error!("the spool is gone; an interval is lost");
            }
        }
    }

    async fn wind_down(mut self) {
        let until = Instant::now() + self.parts.deadline.min(LAST_WAIT);
        while let Ok(Some(landed)) = tokio::time::timeout_at(until, self.flights.join_next()).await {
            self.now().await;
            self.land(landed);
        }
        let around = self.surroundings();
        let closed = self.aggregate.close_all(&around);
        self.hand_on(closed).await;
    }
}
