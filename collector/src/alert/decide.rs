//! Deciding: from what was known and what was found to what is known now, and what people are told. Pure.
//!
//! A spot is bad for a rule from its threshold on until it is good by its clear threshold; what was not measured, or too little, or
//! lies between the two changes nothing. What is bad is divided among its causes ([`causes`]), and each cause is one alert: one that is
//! open already takes in what its culprit covers, and widens with the blame instead of being joined by another.

mod matching;

use super::{
    Alert, AlertState, Aspect, Doors, Event, EventKind, Evidence, Judgement, Maintenance, Reading, Rule,
    Severity, Spot, Vote,
    blame::{Cause, Judged, causes},
    message,
};
use crate::rfc3339;
use matching::{Claims, claims};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// After how long without a reading what is bad is forgotten: nobody measures it any more.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// What is known from one turn to the next.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// The number of the next alert.
    pub next: u64,
    /// What is bad.
    pub held: Vec<Held>,
    /// The alerts that are not over.
    pub open: Vec<Alert>,
}

/// Something that is bad.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What was last found.
    pub reading: Reading,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// When that was found.
    #[serde(with = "rfc3339")]
    pub found: Timestamp,
    /// The front door that served the spot.
    pub edge: Option<String>,
}

/// What a turn rests on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The rules.
    pub rules: &'a [Rule],
    /// Where trouble is expected.
    pub maintenance: &'a [Maintenance],
    /// What the rules found.
    pub readings: &'a [Reading],
    /// The front doors that serve now.
    pub doors: &'a Doors,
    /// Those of the day before.
    pub doors_before: &'a Doors,
}

/// What a turn makes of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Turned {
    /// What is known now.
    pub standing: Standing,
    /// The alerts that are over by it.
    pub closed: Vec<Alert>,
    /// What is to be told.
    pub events: Vec<Event>,
}

/// Judges what was found. The numbers of alerts begin at 1.
pub fn turn(standing: Standing, ground: &Ground<'_>, now: Timestamp) -> Turned {
    let mut bench = Bench::new(standing, *ground, now);
    bench.hold();
    for aspect in [Aspect::Reachability, Aspect::Attribution, Aspect::Interception] {
        bench.judge(aspect);
    }
    bench.finish()
}

/// What a turn works on.
struct Bench<'a> {
    ground: Ground<'a>,
    rules: BTreeMap<&'a str, &'a Rule>,
    held: BTreeMap<(String, Spot), Held>,
    open: Vec<Alert>,
    next: u64,
    closed: Vec<Alert>,
    events: Vec<Event>,
    now: Timestamp,
}

impl<'a> Bench<'a> {
    fn new(standing: Standing, ground: Ground<'a>, now: Timestamp) -> Self {
        let held = standing.held.into_iter();
        Self {
            ground,
            rules: ground.rules.iter().map(|rule| (rule.name.as_str(), rule)).collect(),
            held: held.map(|one| ((one.reading.rule.clone(), one.reading.spot.clone()), one)).collect(),
            open: standing.open,
            next: standing.next.max(1),
            closed: Vec::new(),
            events: Vec::new(),
            now,
        }
    }

    fn edge(&self, spot: &Spot) -> Option<String> {
        let Ground { doors, doors_before, .. } = self.ground;
        doors.main(spot).or_else(|| doors_before.main(spot)).map(ToOwned::to_owned)
    }

    fn is_expected(&self, spot: &Spot) -> bool {
        self.ground.maintenance.iter().any(|window| window.covers(spot, self.now))
    }

    /// Brings what is bad up to date.
    fn hold(&mut self) {
        for reading in self.ground.readings {
            let Some(rule) = self.rules.get(reading.rule.as_str()) else { continue };
            if self.is_expected(&reading.spot) {
                continue;
            }
            let key = (reading.rule.clone(), reading.spot.clone());
            let edge = self.edge(&reading.spot);
            match judge(rule, reading) {
                Judgement::Good => {
                    self.held.remove(&key);
                }
                // While it is bad the door that served it then is the suspect.
                Judgement::Bad => {
                    let now = self.now;
                    let fresh = || Held { reading: reading.clone(), since: now, found: now, edge };
                    let held = self.held.entry(key).or_insert_with(fresh);
                    (held.reading, held.found) = (reading.clone(), now);
                }
                Judgement::Between => {
                    if let Some(held) = self.held.get_mut(&key) {
                        (held.reading, held.found) = (reading.clone(), self.now);
                    }
                }
            }
        }
        let told: Vec<_> = self.open.iter().filter(|alert| alert.state.is_told()).cloned().collect();
        let (rules, maintenance, now) = (&self.rules, self.ground.maintenance, self.now);
        self.held.retain(|(rule, spot), held| {
            let Some(rule) = rules.get(rule.as_str()).filter(|rule| rule.scope.holds(spot)) else {
                return false;
            };
            let expected = maintenance.iter().any(|window| window.covers(spot, now));
            let aspect = rule.kind.aspect();
            let is_told = || {
                told.iter()
                    .any(|alert| alert.aspect == aspect && alert.culprit.covers(spot, held.edge.as_deref()))
            };
            // What begins during maintenance begins anew after it; what people know of waits for it to end.
            now.since(held.found) < FORGOTTEN_AFTER && (!expected || is_told())
        });
    }

    /// Everything of an aspect that was judged or is bad, spot by spot.
    fn judged(&self, aspect: Aspect) -> Vec<Judged> {
        let is_of = |rule: &str| self.rules.get(rule).is_some_and(|rule| rule.kind.aspect() == aspect);
        let mut judged: BTreeMap<&Spot, Judged> = BTreeMap::new();
        for reading in self.ground.readings.iter().filter(|reading| is_of(&reading.rule)) {
            if !self.is_expected(&reading.spot) {
                judged.entry(&reading.spot).or_insert_with(|| Judged {
                    spot: reading.spot.clone(),
                    edge: self.edge(&reading.spot),
                    bad: false,
                });
            }
        }
        for ((rule, spot), held) in &self.held {
            if is_of(rule) {
                let (spot_, edge) = (spot.clone(), held.edge.clone());
                let one = judged.entry(spot).or_insert(Judged { spot: spot_, edge: edge.clone(), bad: true });
                one.bad = true;
                one.edge = edge.or_else(|| one.edge.take());
            }
        }
        judged.into_values().collect()
    }

    /// Matches the causes of an aspect with its alerts, and takes each of those a step on.
    fn judge(&mut self, aspect: Aspect) {
        let judged = self.judged(aspect);
        let causes = causes(&judged);
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|alert| alert.aspect == aspect);
        self.open = others;
        let (mut told, mut pending): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|alert| alert.state.is_told());
        told.sort_by_key(|alert| alert.id);
        let Claims { claimed, fresh } = claims(&told, &judged, &causes);
        for (mut alert, claim) in told.into_iter().zip(claimed) {
            if let Some(into) = claim.part_of {
                self.close(alert, Some(into));
                continue;
            }
            let cause = claim.cause.and_then(|at| causes.get(at));
            let widened = cause.filter(|cause| claim.takes_in || cause.culprit.is_wider_than(&alert.culprit));
            if let Some(cause) = widened {
                alert.culprit = cause.culprit.clone();
            }
            self.step(alert, cause, &claim.spots, widened.is_some());
        }
        // Nobody was told of those, so that they may become whatever their cause is now.
        for (cause, spots) in fresh {
            let Some(cause) = causes.get(cause) else { continue };
            let edge =
                |spot: &Spot| judged.iter().find(|one| one.spot == *spot).and_then(|one| one.edge.as_deref());
            let is_it = |alert: &Alert| spots.iter().any(|spot| alert.culprit.covers(spot, edge(spot)));
            let known = pending.iter().position(is_it).map(|at| pending.remove(at));
            let alert = self.begin((aspect, known), cause, &spots);
            self.step(alert, Some(cause), &spots, false);
        }
    }

    /// What is bad of an aspect at these spots.
    fn bad(&self, aspect: Aspect, spots: &BTreeSet<Spot>) -> Vec<(&'a Rule, Held)> {
        let held = self.held.iter().filter(|((_, spot), _)| spots.contains(spot));
        let ruled =
            held.filter_map(|((rule, _), held)| Some((*self.rules.get(rule.as_str())?, held.clone())));
        ruled.filter(|(rule, _)| rule.kind.aspect() == aspect).collect()
    }

    fn begin(
        &mut self,
        (aspect, known): (Aspect, Option<Alert>),
        cause: &Cause,
        spots: &BTreeSet<Spot>,
    ) -> Alert {
        let id = known.as_ref().map_or(self.next, |known| known.id);
        self.next = self.next.max(id + 1);
        let bad = self.bad(aspect, spots);
        let since = bad.iter().map(|(_, held)| held.since).min().unwrap_or(self.now);
        Alert {
            id,
            state: AlertState::Pending,
            severity: Severity::Ticket,
            summary: String::new(),
            culprit: cause.culprit.clone(),
            aspect,
            rules: BTreeSet::new(),
            since,
            fired: None,
            good_since: None,
            resolved: None,
            part_of: None,
            silenced_until: known.as_ref().and_then(|known| known.silenced_until),
            acknowledged: known.and_then(|known| known.acknowledged),
            told: false,
            labels: BTreeMap::new(),
            evidence_at_first: None,
            evidence: self.evidence(&cause.culprit, cause.votes.clone(), &bad),
        }
    }

    fn evidence(&self, culprit: &super::Culprit, votes: Vec<Vote>, bad: &[(&Rule, Held)]) -> Evidence {
        let readings = bad.iter().map(|(_, held)| held.reading.clone()).collect();
        Evidence::of(culprit, votes, readings, self.ground.rules, self.now)
    }

    /// Takes an alert a step on, by what is bad of it now.
    fn step(&mut self, mut alert: Alert, cause: Option<&Cause>, spots: &BTreeSet<Spot>, widened: bool) {
        let bad = self.bad(alert.aspect, spots);
        if bad.is_empty() {
            return self.recover(alert);
        }
        alert.good_since = None;
        if !alert.state.is_told() {
            alert.since = bad.iter().map(|(_, held)| held.since).fold(alert.since, Timestamp::min);
        }
        alert.rules.extend(bad.iter().map(|(rule, _)| rule.name.clone()));
        let votes = cause.map_or_else(|| alert.evidence.votes.clone(), |cause| cause.votes.clone());
        alert.evidence = self.evidence(&alert.culprit, votes, &bad);
        let lasted = bad.iter().filter(|(rule, held)| self.now.since(held.since) >= rule.lasting);
        let urgent = lasted.map(|(rule, _)| rule.severity).max();
        let graver = urgent.is_some_and(|severity| severity > alert.severity);
        alert.severity = urgent.map_or(alert.severity, |severity| severity.max(alert.severity));
        alert.summary = message::summary(&alert, self.ground.rules);
        alert.labels.entry("severity".to_owned()).and_modify(|label| alert.severity.name().clone_into(label));
        if alert.told {
            if widened || graver {
                self.tell(EventKind::Updated, &alert);
            }
        } else if alert.state.is_told() || urgent.is_some() {
            alert = self.fire(alert);
        }
        self.open.push(alert);
    }

    /// It has lasted for long enough: people are told, or once its silence is over.
    fn fire(&mut self, mut alert: Alert) -> Alert {
        if !alert.state.is_told() {
            let is_known = alert.acknowledged.is_some();
            alert.state = if is_known { AlertState::Acknowledged } else { AlertState::Firing };
            alert.fired = Some(self.now);
            alert.labels = message::labels(&alert);
            alert.evidence_at_first = Some(alert.evidence.clone());
        }
        alert.told = alert.tells(EventKind::Firing, self.now);
        self.tell(EventKind::Firing, &alert);
        alert
    }

    /// Nothing of it is bad any more: a pending one is forgotten, one that people know of is over once that has lasted.
    fn recover(&mut self, mut alert: Alert) {
        if !alert.state.is_told() {
            return;
        }
        let since = *alert.good_since.get_or_insert(self.now);
        let rules = alert.rules.iter().filter_map(|name| self.rules.get(name.as_str()));
        let patience = rules.map(|rule| rule.lasting).max().unwrap_or(Duration::ZERO);
        if self.now.since(since) >= patience {
            self.close(alert, None);
        } else {
            self.open.push(alert);
        }
    }

    fn close(&mut self, mut alert: Alert, part_of: Option<u64>) {
        if alert.state.is_told() {
            alert.state = AlertState::Resolved;
            alert.resolved = Some(self.now);
            alert.part_of = part_of;
            if alert.told {
                self.tell(EventKind::Resolved, &alert);
            }
            self.closed.push(alert);
        }
    }

    fn tell(&mut self, kind: EventKind, alert: &Alert) {
        if alert.tells(kind, self.now) {
            self.events.push(Event { kind, at: self.now, alert: alert.clone() });
        }
    }

    fn finish(mut self) -> Turned {
        self.open.sort_by_key(|alert| alert.id);
        let held = self.held.into_values().collect();
        let standing = Standing { next: self.next, held, open: self.open };
        Turned { standing, closed: self.closed, events: self.events }
    }
}

/// Bad only by what is certain, good by what was found.
fn judge(rule: &Rule, reading: &Reading) -> Judgement {
    match (rule.judge(reading.certain()), rule.judge(reading.worst())) {
        (Judgement::Bad, _) => Judgement::Bad,
        (_, Judgement::Good) => Judgement::Good,
        (Judgement::Good | Judgement::Between, Judgement::Bad | Judgement::Between) => Judgement::Between,
    }
}

#[cfg(test)]
mod tests;
