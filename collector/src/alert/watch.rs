//! Watching: asks the latency report what the rules need, and takes the alerts a turn on. The shell around [`turn`].

mod memory;

use super::{AlertState, Doors, Ground, Reading, Rule, TELLS_EDGES, readings, replay::metrics_of, turn};
use crate::{
    api::reports::{ReportError, Snapshot, latency_knowing, silences},
    app::App,
    lasting::Lasting,
    metrics::AlertCounts,
    organisation::OrganisationId,
    registry::{RegistryError, Sight},
    report::{Dimension, Question, ReportRow, silence::Silences, start_of_minute},
    store::{Presences, StoreError, slot_of},
};
use memory::{Day, Memory, one_of_each_shape};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};
use tokio_util::sync::CancellationToken;

/// What rows are grouped by: the parts of a spot.
pub(super) const BY: [Dimension; 4] =
    [Dimension::Provider, Dimension::Location, Dimension::Site, Dimension::Target];
/// What front doors are compared with: the day before.
pub(super) const DAY: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);
/// How long what is known of a day is as good as it was: no longer than a loss lasts until people are told, since a new target may
/// be silent over ICMP, and is presumed to be once it is known here.
const AS_GOOD: Duration = Duration::from_mins(5);

/// Why rules were not judged; it is tried again at the next turn.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the work was not finished: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

/// Judges the rules at each turn until `shutdown`. Failures are logged and tried again.
pub async fn keep_on(app: &App, shutdown: CancellationToken) {
    let mut turns = tokio::time::interval(app.config.alerts.every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut memory = Memory::new(OrganisationId::DEFAULT, app.clock.now());
    let mut failing = Lasting::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = turns.tick() => {}
        }
        // By a clock that may be wrong everything is missing, or nothing is.
        if app.clock.jumped().is_some() {
            continue;
        }
        match look(app, &mut memory).await {
            Ok(told) => {
                if told > 0 {
                    app.notices.notify_waiters();
                }
                if let Some(over) = failing.works(Instant::now()) {
                    tracing::warn!(lasted_s = over.lasted.as_secs(), "alert rules are judged again");
                }
            }
            Err(error) => {
                if failing.fails(1, Instant::now()).is_some() {
                    tracing::error!(%error, "alert rules could not be judged; nobody is told of what is wrong until they are");
                }
            }
        }
    }
}

/// Judges the rules once. Returns how many events are to be told.
async fn look(app: &App, memory: &mut Memory) -> Result<usize, WatchError> {
    let organisation = memory.organisation;
    let (asked, began) = (app.registry.clone(), Instant::now());
    let now = app.clock.now();
    let (rules, snapshot) = tokio::task::spawn_blocking(move || {
        let rules = asked.alert_rules(organisation)?.rules;
        Ok::<_, RegistryError>((rules, Arc::new(Snapshot::take(&asked, &Sight::whole(organisation), now)?)))
    })
    .await??;
    let found =
        Asking { app, organisation, snapshot, presence: OnceCell::new(), now }.find(&rules, memory).await?;
    let (doors, before) = (Arc::clone(&memory.doors), memory.doors_before());
    let (registry, receivers) = (app.registry.clone(), app.config.alerts.receivers());
    let told = tokio::task::spawn_blocking(move || {
        registry.turn_alerts(organisation, &receivers, now, |standing, rules, maintenance| {
            let ground =
                Ground { rules, maintenance, readings: &found, doors: &doors, doors_before: &before };
            turn(standing, &ground, now)
        })
    });
    let (told, open) = told.await??;
    let of = |state| open.iter().filter(|alert| alert.state == state).count();
    app.metrics.alerts(&AlertCounts {
        pending: of(AlertState::Pending),
        firing: of(AlertState::Firing),
        acknowledged: of(AlertState::Acknowledged),
        took: began.elapsed(),
    });
    Ok(told)
}

/// What the questions of a turn rest on.
struct Asking<'a> {
    app: &'a App,
    organisation: OrganisationId,
    snapshot: Arc<Snapshot>,
    /// Read once a turn, if at all.
    presence: OnceCell<Arc<Presences>>,
    now: Timestamp,
}

impl Asking<'_> {
    /// What the rules find whose turn it is.
    async fn find(&self, rules: &[Rule], memory: &mut Memory) -> Result<Vec<Reading>, WatchError> {
        let due = memory.due(rules, self.now, self.app.config.alerts.every);
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let day = self.day(memory).await?;
        let (mut found, mut doors) = (Vec::new(), Doors::default());
        for (window, rules) in due {
            let span = span(self.now.minus(self.app.config.alerts.delay), window);
            // What each agent should have measured is millions of schedules in a large fleet.
            let judges_absence = rules.iter().any(|rule| rule.kind.judges_absence());
            let presence = if judges_absence { self.presence().await? } else { Arc::clone(&day.shapes) };
            let rows = self.rows(metrics_of(&rules), span, (presence, day.silences.clone())).await?;
            for row in &rows {
                doors.add(row);
            }
            for rule in rules {
                if !rule.kind.judges_absence() || span.0 >= memory.began {
                    found.append(&mut readings(rule, &rows, &day.doors, span));
                }
            }
            memory.judged(window, self.now);
        }
        if !doors.is_empty() {
            memory.doors = Arc::new(doors);
        }
        Ok(found)
    }

    async fn presence(&self) -> Result<Arc<Presences>, StoreError> {
        let read = async || Ok(Arc::new(self.app.store.presence(self.organisation).await?));
        self.presence.get_or_try_init(read).await.cloned()
    }

    async fn rows(
        &self,
        metrics: BTreeSet<Metric>,
        (from, to): (Timestamp, Timestamp),
        (presence, silences): (Arc<Presences>, Silences),
    ) -> Result<Vec<ReportRow>, WatchError> {
        let question = self.question(metrics, (from, to));
        let (store, snapshot) = (self.app.store.as_ref(), Arc::clone(&self.snapshot));
        Ok(latency_knowing(store, (snapshot, presence, silences), question, self.now).await?.rows)
    }

    fn question(&self, metrics: BTreeSet<Metric>, (from, to): (Timestamp, Timestamp)) -> Question {
        Question {
            from,
            to,
            last: None,
            by: BY.to_vec(),
            metrics,
            ..Question::new(self.organisation, self.now)
        }
    }

    /// What is known of the day that ended with the last five minutes; it is asked once for each of those.
    async fn day(&self, memory: &mut Memory) -> Result<Arc<Day>, WatchError> {
        let to = slot_of(self.now, AS_GOOD);
        if let Some(day) = memory.day_until(to) {
            return Ok(day);
        }
        let presence = self.presence().await?;
        let of_day = self.question([Metric::IcmpRtt].into(), (to.minus(DAY), to));
        let store = self.app.store.as_ref();
        let silences = silences(store, &of_day, &self.snapshot.registrations, &presence).await?.presumed();
        let shapes = Arc::new(one_of_each_shape(&presence));
        let known = (Arc::clone(&shapes), Silences::default());
        let rows = self.rows([TELLS_EDGES].into(), (to.minus(DAY), to), known).await?;
        Ok(memory.remember(Day { to, doors: Arc::new(Doors::of(&rows)), silences, shapes }))
    }
}

/// The rules by their windows, so that each span is asked for once.
pub(super) fn by_window(rules: &[Rule]) -> BTreeMap<Duration, Vec<&Rule>> {
    let mut windows: BTreeMap<Duration, Vec<&Rule>> = BTreeMap::new();
    for rule in rules {
        windows.entry(rule.window).or_default().push(rule);
    }
    windows
}

/// The window that ends at `end`, or at the minute before: measurements are by the minute.
fn span(end: Timestamp, window: Duration) -> (Timestamp, Timestamp) {
    let to = if window < MINUTE { Timestamp::from_secs(end.as_secs()) } else { start_of_minute(end) };
    (to.minus(window), to)
}
