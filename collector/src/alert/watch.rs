//! Watching: asks the latency report what the rules need, and takes the alerts a turn on. The shell around [`turn`].

use super::{AlertState, Doors, Ground, Reading, Rule, TELLS_EDGES, readings, replay::metrics_of, turn};
use crate::{
    api::reports::{ReportError, Snapshot, latency_given},
    app::App,
    lasting::Lasting,
    metrics::AlertCounts,
    organisation::OrganisationId,
    registry::RegistryError,
    report::{Dimension, Question, ReportRow, start_of_minute},
    store::{Presence, StoreError, slot_of},
};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What rows are grouped by: the parts of a spot.
pub(super) const BY: [Dimension; 4] =
    [Dimension::Provider, Dimension::Location, Dimension::Site, Dimension::Target];
/// What front doors are compared with: the day before.
pub(super) const DAY: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);
/// How long the day before is as good as it was.
const QUARTER_HOUR: Duration = Duration::from_mins(15);

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

/// What is remembered between two turns; all of it can be found again.
struct Memory {
    organisation: OrganisationId,
    /// When this began: what is missing from before may be on its way still.
    began: Timestamp,
    /// The front doors of a day, and when it ends.
    before: Option<(Timestamp, Arc<Doors>)>,
}

/// Judges the rules at each turn until `shutdown`. Failures are logged and tried again.
pub async fn keep_on(app: &App, shutdown: CancellationToken) {
    let mut turns = tokio::time::interval(app.config.alerts.every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut memory = Memory { organisation: OrganisationId::DEFAULT, began: app.clock.now(), before: None };
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
        Ok::<_, RegistryError>((rules, Arc::new(Snapshot::take(&asked, organisation, now)?)))
    })
    .await??;
    let presence = Arc::new(app.store.presence(organisation).await?);
    let asking = Asking { app, organisation, snapshot, presence, now };
    let (found, doors, before) = asking.find(&rules, memory).await?;
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
    presence: Arc<Vec<Presence>>,
    now: Timestamp,
}

impl Asking<'_> {
    /// What the rules find, the front doors that serve now, and those of the day before.
    async fn find(
        &self,
        rules: &[Rule],
        memory: &mut Memory,
    ) -> Result<(Vec<Reading>, Doors, Arc<Doors>), WatchError> {
        let before = self.doors_before(memory).await?;
        let (mut found, mut doors) = (Vec::new(), Doors::default());
        for (window, rules) in by_window(rules) {
            let span = span(self.now.minus(self.app.config.alerts.delay), window);
            let rows = self.rows(metrics_of(&rules), span).await?;
            for row in &rows {
                doors.add(row);
            }
            for rule in rules {
                if !rule.kind.judges_absence() || span.0 >= memory.began {
                    found.append(&mut readings(rule, &rows, &before, span));
                }
            }
        }
        Ok((found, doors, before))
    }

    async fn rows(
        &self,
        metrics: BTreeSet<Metric>,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<ReportRow>, WatchError> {
        let question = Question {
            from,
            to,
            last: None,
            by: BY.to_vec(),
            metrics,
            ..Question::new(self.organisation, self.now)
        };
        let (snapshot, presence) = (Arc::clone(&self.snapshot), Arc::clone(&self.presence));
        let store = self.app.store.as_ref();
        Ok(latency_given(store, snapshot, presence, question, self.now).await?.rows)
    }

    /// The front doors of the day that ended with the last quarter hour, asked once for each of those.
    async fn doors_before(&self, memory: &mut Memory) -> Result<Arc<Doors>, WatchError> {
        let to = slot_of(self.now, QUARTER_HOUR);
        if let Some((_, doors)) = memory.before.as_ref().filter(|(known, _)| *known == to) {
            return Ok(Arc::clone(doors));
        }
        let rows = self.rows([TELLS_EDGES].into(), (to.minus(DAY), to)).await?;
        let doors = Arc::new(Doors::of(&rows));
        memory.before = Some((to, Arc::clone(&doors)));
        Ok(doors)
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
