//! The store as its specification would have it: every admitted measurement in a list, every answer a brute-force merge.
//! The model that the conformance suite compares backends with; it forgets all when it is dropped.

use super::{
    Agents, ClockOffsets, DESCRIBED_FOR, Dropped, Expired, Grouping, Health, LEDGER_MARGIN, Origin, Presence,
    Presences, PutOutcome, Query, Reattribute, Reattribution, Retention, Row, Shape, Store, StoreError,
    Totals, Usage, dropped::refused, given_away::given_away, slot_of, watch::Watch,
};
use crate::{admission::Admitted, organisation::OrganisationId, registry::RegistrationId};
use futures::future::{BoxFuture, FutureExt as _};
use peerlight_proto::{
    id::{AccountId, AgentId, BatchDigest, BatchNumber, SeriesId},
    time::{Interval, IntervalLength, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const QUARTER: Duration = Duration::from_mins(15);

/// The reference model.
#[derive(Debug, Default)]
pub(super) struct MemoryStore(Mutex<Kept>, Watch);

#[derive(Debug, Default)]
struct Kept {
    /// Digest and the instant that the entry is kept for.
    ledger: BTreeMap<BatchNumber, (BatchDigest, Timestamp)>,
    measurements: Vec<Stored>,
    /// Each with when its description last changed.
    shapes: BTreeMap<(OrganisationId, SeriesId), (Arc<Shape>, Timestamp)>,
    presence: BTreeMap<(OrganisationId, AgentId, RegistrationId, SeriesId), (Timestamp, Timestamp)>,
    reattributed: Vec<Reattribute>,
    /// By agent, account (none for the collector's own), hour, uplink and reason.
    dropped: BTreeMap<DroppedKey, (OrganisationId, Dropped)>,
    /// Nothing that began before is taken any more.
    complete_from: Option<Timestamp>,
}

type DroppedKey = (AgentId, Option<AccountId>, Timestamp, String, String);

/// A measurement. Retention does to it what it does to an answer: its start becomes that of a coarser span.
#[derive(Debug, Clone)]
struct Stored {
    organisation: OrganisationId,
    origin: Origin,
    agent: AgentId,
    shape: SeriesId,
    start: Timestamp,
    totals: Totals,
}

impl MemoryStore {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep_account(&mut self, admitted: &Admitted) {
        let Some(account) = &admitted.dropped else { return };
        for (registration, entry) in &account.entries {
            let (agent, reason) = (admitted.batch.number.agent, entry.reason.to_string());
            let key = (agent, Some(account.signed.id), entry.hour, entry.uplink.clone(), reason.clone());
            let told = Dropped {
                registration: Some(*registration),
                agent: None,
                hour: entry.hour,
                by_agent: true,
                reason,
                measurements: entry.measurements,
                turns: entry.turns,
                unread_batches: entry.unread_batches,
                first: entry.first,
                last: entry.last,
            };
            let (_, known) = self.dropped.entry(key).or_insert((admitted.organisation, told.clone()));
            known.measurements = known.measurements.max(told.measurements);
            known.turns = known.turns.max(told.turns);
            known.unread_batches = known.unread_batches.max(told.unread_batches);
            (known.first, known.last) = (known.first.min(told.first), known.last.max(told.last));
        }
    }

    fn keep_refused(&mut self, admitted: &Admitted) {
        for loss in &admitted.lost {
            let (agent, reason) = (admitted.batch.number.agent, refused(loss.code));
            let key = (agent, None, loss.hour, loss.uplink.clone(), reason.clone());
            let none = Dropped {
                registration: Some(loss.registration),
                agent: None,
                hour: loss.hour,
                by_agent: false,
                reason,
                measurements: 0,
                turns: 0,
                unread_batches: 0,
                first: loss.first,
                last: loss.last,
            };
            let (_, known) = self.dropped.entry(key).or_insert((admitted.organisation, none));
            known.measurements += loss.measurements;
            known.turns += loss.turns;
            (known.first, known.last) = (known.first.min(loss.first), known.last.max(loss.last));
        }
    }

    /// Rows are added up over agents; tests have one for each.
    fn dropped(&self, organisation: OrganisationId, from: Timestamp, to: Timestamp) -> Vec<Dropped> {
        let within = |one: &Dropped| one.last > from && one.first < to;
        let found = self.dropped.values().filter(|(of, one)| *of == organisation && within(one));
        let mut found: Vec<_> = found.map(|(_, one)| one.clone()).collect();
        found.sort_by_key(|one| (one.registration, one.by_agent, one.reason.clone(), one.hour));
        found
    }

    fn put(&mut self, admitted: &Admitted) -> PutOutcome {
        let number = admitted.batch.number;
        self.keep_account(admitted);
        if let Some((digest, _end)) = self.ledger.get(&number) {
            return if *digest == admitted.digest { PutOutcome::Duplicate } else { PutOutcome::NumberReused };
        }
        if let Some(part) = admitted.batch.part {
            let parent = BatchNumber { session: part.session, sequence: part.sequence, ..number };
            if self.ledger.get(&parent).is_some_and(|(digest, _end)| *digest == part.digest) {
                return PutOutcome::Duplicate;
            }
        }
        let intervals = || admitted.measurements.iter().map(|one| one.measurement.interval);
        let oldest = intervals().map(Interval::start).min();
        if let Some(from) = self.complete_from.filter(|from| oldest.is_some_and(|oldest| oldest < *from)) {
            return PutOutcome::TooOld(from);
        }
        let end =
            intervals().map(Interval::end).chain([admitted.received]).max().unwrap_or(admitted.received);
        self.ledger.insert(number, (admitted.digest, end));
        self.keep_refused(admitted);
        for one in &admitted.measurements {
            let series = &admitted.batch.series[one.measurement.series as usize];
            let shape = Shape::of(series);
            let (organisation, id) = (admitted.organisation, shape.id());
            let now = admitted.received;
            let known = self.shapes.entry((organisation, id)).or_insert((Arc::new(shape.clone()), now));
            if *known.0 != shape && now.since(known.1) >= DESCRIBED_FOR {
                *known = (Arc::new(shape), now);
            }
            let interval = one.measurement.interval;
            let span = self
                .presence
                .entry((organisation, number.agent, one.registration, id))
                .or_insert((interval.start(), interval.end()));
            *span = (span.0.min(interval.start()), span.1.max(interval.end()));
            self.measurements.push(Stored {
                organisation,
                origin: Origin {
                    registration: one.registration,
                    uplink: series.key.uplink.clone(),
                    attribution: one.attribution,
                    prefix: one.prefix,
                },
                agent: number.agent,
                shape: id,
                start: interval.start(),
                totals: Totals {
                    counters: one.measurement.counters,
                    histogram: one.measurement.histogram.clone(),
                    attributes: one.measurement.attributes.clone(),
                    clock_offsets: admitted.batch.clock_offset_us.map(ClockOffsets::of),
                },
            });
        }
        PutOutcome::Stored
    }

    fn scan(&self, query: &Query, grouping: &dyn Grouping) -> Vec<Row> {
        let agents: BTreeSet<AgentId> = self.measurements.iter().map(|one| one.agent).collect();
        let mut rows: BTreeMap<(u32, Timestamp), (Totals, Agents)> = BTreeMap::new();
        for one in &self.measurements {
            let shape = &self.shapes[&(one.organisation, one.shape)].0;
            let asked = one.organisation == query.organisation
                && (query.from..query.to).contains(&one.start)
                && (query.metrics.is_empty() || query.metrics.contains(&shape.metric))
                && query
                    .registrations
                    .as_ref()
                    .is_none_or(|wanted| wanted.contains(&one.origin.registration));
            let agent = grouping.keeps_agents_apart().then_some(one.agent);
            let Some(group) = asked.then(|| grouping.group(&one.origin, shape, agent)).flatten() else {
                continue;
            };
            let slot = query.step.map_or(query.from, |step| slot_of(one.start, step));
            let (totals, seen) = rows.entry((group, slot)).or_default();
            if grouping.wants_times() {
                totals.merge(&one.totals);
            } else {
                totals.counters.merge(&one.totals.counters);
            }
            seen.insert(u32::try_from(agents.range(..one.agent).count()).unwrap());
        }
        rows.into_iter()
            .map(|((group, slot), (totals, agents))| Row { group, slot, totals, agents: Arc::new(agents) })
            .collect()
    }

    /// At once, and with no memory of it: what the history says is SQLite's own.
    fn reattribute(&mut self, order: &Reattribute) {
        self.reattributed.push(order.clone());
        for one in &mut self.measurements {
            let ours = one.organisation == order.organisation && one.origin.registration == order.from;
            if ours && order.covers(one.start) {
                one.origin.registration = order.to;
                one.origin.attribution = order.attribution(one.origin.attribution, one.origin.prefix);
            }
        }
        let (ours, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.presence)
            .into_iter()
            .partition(|(key, _span)| key.0 == order.organisation && key.2 == order.from);
        self.presence = others.into_iter().collect();
        for ((organisation, agent, _from, series), span) in ours {
            let (left, moved) = order.split(span);
            for (registration, span) in [(order.from, left), (order.to, moved)] {
                let Some(span) = span else { continue };
                self.presence
                    .entry((organisation, agent, registration, series))
                    .and_modify(|known| *known = (known.0.min(span.0), known.1.max(span.1)))
                    .or_insert(span);
            }
        }
    }

    fn expire(&mut self, now: Timestamp, retention: &Retention) -> Expired {
        let day = |instant| Interval::containing(instant, IntervalLength::DAY).start();
        let [minutes, quarters, days] =
            [retention.minute, retention.quarter_hour, retention.day].map(|age| day(now.minus(age)));
        let (measurements, ledger) = (self.measurements.len(), self.ledger.len());
        for one in &mut self.measurements {
            if one.start < minutes {
                one.start = Interval::containing(one.start, IntervalLength::QUARTER_HOUR).start();
            }
            if one.start < quarters {
                one.start = day(one.start);
            }
        }
        self.measurements.retain(|one| one.start >= days);
        self.presence.retain(|_key, (_first, last)| *last >= days);
        // Whole seconds, as everything here.
        let known = now.minus(retention.acceptance_horizon + LEDGER_MARGIN).as_secs();
        let known = Timestamp::from_secs(known);
        self.ledger.retain(|_number, (_digest, end)| end.as_secs() >= known.as_secs());
        self.complete_from = self.complete_from.max(Some(known.max(minutes)));
        Expired {
            measured: 0,
            rollups: (measurements - self.measurements.len()) as u64,
            ledger_entries: (ledger - self.ledger.len()) as u64,
        }
    }
}

impl Store for MemoryStore {
    fn put(&self, admitted: Admitted) -> BoxFuture<'_, Result<PutOutcome, StoreError>> {
        async move { Ok(self.kept().put(&admitted)) }.boxed()
    }

    fn ledgered(&self, number: BatchNumber) -> BoxFuture<'_, Result<Option<BatchDigest>, StoreError>> {
        async move { Ok(self.kept().ledger.get(&number).map(|(digest, _end)| *digest)) }.boxed()
    }

    fn scan(&self, query: Query, grouping: Arc<dyn Grouping>) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        async move { Ok(self.kept().scan(&query, &*grouping)) }.boxed()
    }

    fn presence(&self, organisation: OrganisationId) -> BoxFuture<'_, Result<Presences, StoreError>> {
        async move {
            let kept = self.kept();
            let orders = kept.reattributed.iter().filter(|order| order.organisation == organisation);
            let given = given_away(orders);
            let presences = kept.presence.iter().filter(|(key, _span)| key.0 == organisation);
            Ok(presences
                .map(|((_, agent, registration, shape), (first, last))| Presence {
                    agent: *agent,
                    registration: *registration,
                    shape: Arc::clone(&kept.shapes[&(organisation, *shape)].0),
                    first: *first,
                    last: *last,
                    given_away: given.get(registration).cloned().unwrap_or_default(),
                })
                .collect())
        }
        .boxed()
    }

    fn compact(&self, _now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move { Ok(0) }.boxed()
    }

    fn expire(&self, now: Timestamp, retention: Retention) -> BoxFuture<'_, Result<Expired, StoreError>> {
        async move { Ok(self.kept().expire(now, &retention)) }.boxed()
    }

    fn newest(&self) -> BoxFuture<'_, Result<Option<Timestamp>, StoreError>> {
        let end = |one: &Stored| slot_of(one.start, QUARTER).plus(QUARTER);
        async move { Ok(self.kept().measurements.iter().map(end).max()) }.boxed()
    }

    fn dropped(
        &self,
        organisation: OrganisationId,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Dropped>, StoreError>> {
        async move { Ok(self.kept().dropped(organisation, from, to)) }.boxed()
    }

    fn begin_reattribution(&self, order: Reattribute) -> BoxFuture<'_, Result<i64, StoreError>> {
        async move {
            self.kept().reattribute(&order);
            Ok(0)
        }
        .boxed()
    }

    fn reattribute(&self, _now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { Ok(()) }.boxed()
    }

    fn reattributions(&self) -> BoxFuture<'_, Result<Vec<Reattribution>, StoreError>> {
        async move { Ok(Vec::new()) }.boxed()
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        async move { Ok(Usage::default()) }.boxed()
    }

    fn watch(&self) -> &Watch {
        &self.1
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        async move {
            let kept = self.kept();
            Ok(Health { ledger_entries: kept.ledger.len() as u64, ..Health::default() })
        }
        .boxed()
    }
}
