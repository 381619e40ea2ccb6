//! Replaying: what rules would have told of what is stored. Windows follow one another instead of sliding, so that a month takes
//! thirty questions; everything else is as it would have been, but that nobody acknowledged anything.

use super::{
    Alert, Doors, Event, EventKind, Ground, Rule, Standing, faults,
    reading::TELLS_EDGES,
    readings, turn,
    watch::{BY, DAY, by_window},
};
use crate::{
    api::reports::{ReportError, Snapshot, latency_knowing, silences},
    organisation::OrganisationId,
    report::{Question, ReportRow, start_of_minute},
    rfc3339,
    store::{Presences, Store, slot_of},
};
use peerlight_proto::{duration, metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// The shortest window: stored measurements are told apart by the minute.
const MINUTE: Duration = Duration::from_mins(1);
/// With more schedules than this less is asked for at once, to bound what is held.
const MANY_SCHEDULES: usize = 2_000;

/// What is replayed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose measurements.
    pub organisation: OrganisationId,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// What rules would have told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Replay {
    /// The first instant of what was replayed.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after it.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// How the answer is to be read.
    pub method: String,
    /// How many windows were judged.
    pub windows: u64,
    /// Every alert that would have fired, the first first; those that are not resolved would fire still.
    pub alerts: Vec<Alert>,
    /// How often people would have been told, by what of.
    pub told: BTreeMap<String, u64>,
}

const METHOD: &str = "windows follow one another instead of sliding each minute, and measurements are taken to have arrived in time; \
    nothing was expected by maintenance";

impl Plan {
    /// The span that ends at the last whole minute that must have arrived, with everything that is wrong with it.
    pub fn last(
        organisation: OrganisationId,
        (last, delay): (Duration, Duration),
        rules: Vec<Rule>,
        now: Timestamp,
    ) -> Self {
        let to = start_of_minute(now.minus(delay));
        Self { organisation, from: start_of_minute(to.minus(last)), to, rules }
    }

    /// What cannot be replayed of it where minutes are kept for `kept`.
    pub fn faults(&self, kept: Duration, now: Timestamp) -> Vec<String> {
        let mut wrong = faults(&self.rules);
        for rule in self.rules.iter().filter(|rule| rule.window < MINUTE) {
            wrong.push(format!("rule `{}`: windows below a minute cannot be replayed", rule.name));
        }
        if self.from < now.minus(kept) {
            wrong.push(format!(
                "minutes are kept for {} ([retention] minute); replay no more than those",
                duration::text(kept)
            ));
        }
        if self.from >= self.to {
            wrong.push("the span holds no whole minute; make it longer".to_owned());
        }
        wrong
    }
}

/// Replays from the store and what the registry knows.
pub async fn replay(
    store: &dyn Store,
    snapshot: Arc<Snapshot>,
    plan: Plan,
    now: Timestamp,
) -> Result<Replay, ReportError> {
    let presence = Arc::new(store.presence(plan.organisation).await?);
    let windows: Vec<(Duration, BTreeSet<Metric>)> =
        by_window(&plan.rules).into_iter().map(|(window, rules)| (window, metrics_of(&rules))).collect();
    let piece = piece(windows.iter().map(|(window, _)| *window), presence.len());
    let mut player =
        Player { plan, standing: Standing::default(), days: Days::default(), made: Made::default() };
    let (mut from, end) = (slot_of(player.plan.from, piece), player.plan.to);
    while from < end {
        let to = from.plus(piece).min(end);
        let mut rows = Vec::new();
        for (window, metrics) in &windows {
            let span = (slot_of(from.max(player.plan.from), *window), slot_of(to, *window));
            let asked = (player.plan.organisation, *window, metrics.clone());
            rows.push((*window, ask(store, (&snapshot, &presence), asked, span, now).await?));
        }
        // The runtime's threads have sockets to serve.
        let turned = tokio::task::spawn_blocking(move || {
            player.play(rows);
            player
        });
        player = turned.await?;
        from = to;
    }
    Ok(player.finish())
}

/// How much is asked for at once: a day, or of a fleet less if every window ends with it.
fn piece(mut windows: impl Iterator<Item = Duration>, schedules: usize) -> Duration {
    let hour = Duration::from_hours(1);
    let divides = |window: Duration| hour.as_secs().is_multiple_of(window.as_secs().max(1));
    if schedules > MANY_SCHEDULES && windows.all(divides) { hour } else { DAY }
}

/// What a rule of these asks for, and what tells front doors.
pub(super) fn metrics_of(rules: &[&Rule]) -> BTreeSet<Metric> {
    rules.iter().flat_map(|rule| rule.metrics.iter().copied()).chain([TELLS_EDGES]).collect()
}

type Slots = BTreeMap<Timestamp, Vec<ReportRow>>;

/// The rows of each window of a span, by when it begins.
async fn ask(
    store: &dyn Store,
    (snapshot, presence): (&Arc<Snapshot>, &Arc<Presences>),
    (organisation, window, metrics): (OrganisationId, Duration, BTreeSet<Metric>),
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Slots, ReportError> {
    let mut slots = Slots::new();
    if from >= to {
        return Ok(slots);
    }
    let question = Question {
        from,
        to,
        last: None,
        by: BY.to_vec(),
        metrics,
        step: Some(window),
        ..Question::new(organisation, now)
    };
    let silences = silences(store, &question, &snapshot.registrations, presence).await?.presumed();
    let known = (Arc::clone(snapshot), Arc::clone(presence), silences);
    let report = latency_knowing(store, known, question, now).await?;
    for row in report.rows {
        slots.entry(row.slot.unwrap_or(from)).or_default().push(row);
    }
    Ok(slots)
}

/// Judges window after window.
struct Player {
    plan: Plan,
    standing: Standing,
    days: Days,
    made: Made,
}

impl Player {
    /// Judges these windows in the order of their ends.
    fn play(&mut self, rows: Vec<(Duration, Slots)>) {
        let mut ends: BTreeMap<Timestamp, Vec<(Duration, Timestamp, Vec<ReportRow>)>> = BTreeMap::new();
        for (window, slots) in rows {
            for (from, rows) in slots {
                ends.entry(from.plus(window)).or_default().push((window, from, rows));
            }
        }
        for (end, windows) in ends {
            self.days.move_to(end);
            let (mut found, mut doors) = (Vec::new(), Doors::default());
            for (window, from, rows) in windows {
                self.made.windows += 1;
                for row in &rows {
                    doors.add(row);
                }
                for rule in self.plan.rules.iter().filter(|rule| rule.window == window) {
                    found.append(&mut readings(rule, &rows, &self.days.doors, (from, end)));
                }
            }
            let ground = Ground {
                rules: &self.plan.rules,
                maintenance: &[],
                readings: &found,
                doors: &doors,
                doors_before: &self.days.doors,
            };
            let turned = turn(std::mem::take(&mut self.standing), &ground, end);
            self.standing = turned.standing;
            self.made.take(turned.events, turned.closed);
            self.days.add(end, doors);
        }
    }

    fn finish(self) -> Replay {
        self.made.finish(&self.plan, self.standing)
    }
}

/// The front doors of the day before, as it moves on.
#[derive(Debug, Default)]
struct Days {
    doors: Doors,
    parts: VecDeque<(Timestamp, Doors)>,
}

impl Days {
    fn add(&mut self, end: Timestamp, doors: Doors) {
        if !doors.is_empty() {
            self.doors.merge(&doors);
            self.parts.push_back((end, doors));
        }
    }

    fn move_to(&mut self, end: Timestamp) {
        while let Some((_, doors)) = self.parts.pop_front_if(|(at, _)| *at < end.minus(DAY)) {
            self.doors.take_away(&doors);
        }
    }
}

#[derive(Debug, Default)]
struct Made {
    windows: u64,
    alerts: Vec<Alert>,
    told: BTreeMap<String, u64>,
}

impl Made {
    fn take(&mut self, events: Vec<Event>, closed: Vec<Alert>) {
        for Event { kind, .. } in events {
            *self.told.entry(kind.name().to_owned()).or_default() += 1;
        }
        self.alerts.extend(closed);
    }

    fn finish(mut self, plan: &Plan, standing: Standing) -> Replay {
        self.alerts.extend(standing.open.into_iter().filter(|alert| alert.state.is_told()));
        self.alerts.sort_by_key(|alert| (alert.fired, alert.id));
        for kind in [EventKind::Firing, EventKind::Updated, EventKind::Resolved] {
            self.told.entry(kind.name().to_owned()).or_default();
        }
        let Plan { from, to, .. } = *plan;
        Replay {
            from,
            to,
            method: METHOD.to_owned(),
            windows: self.windows,
            alerts: self.alerts,
            told: self.told,
        }
    }
}
