//! What every store must do, whatever it is made of. One suite, run on each backend; random scripts are compared with the
//! model in [`super::memory`].

use super::{
    ClockOffsets, Dropped, Present, PutOutcome, Query, Store,
    fixture::{
        DAY, Each, MIDNIGHT, MINUTE, RETENTION, admitted, batch, caller, counted, digest, each, everything,
        measurement, part_of, reattribute, scheduled, series,
    },
    memory::MemoryStore,
};
use crate::{admission::Caller, organisation::OrganisationId, registry::RegistrationId};
use peerlight_proto::{
    batch::{Batch, Health},
    drops::{Account, DropEntry, DropReason},
    id::{AccountId, BatchNumber},
    measurement::Counters,
    metric::Metric,
    time::Timestamp,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

mod script;

/// Runs every law on a fresh store of its own.
async fn suite<S: Store>(mut open: impl FnMut() -> S) {
    a_replayed_batch_changes_nothing(&open()).await;
    a_number_names_the_same_bytes_for_ever(&open()).await;
    a_part_of_a_stored_batch_changes_nothing(&open()).await;
    a_batch_of_which_nothing_was_admitted_is_known(&open()).await;
    a_late_batch_counts_in_an_hour_that_was_folded(&open()).await;
    organisations_never_meet(&open()).await;
    a_targets_new_name_shows_and_two_names_do_not_alternate(&open()).await;
    what_was_not_admitted_leaves_no_trace(&open()).await;
    presence_reaches_from_the_first_interval_to_the_last(&open()).await;
    slots_and_filters_select(&open()).await;
    the_offset_of_a_clock_travels_with_its_batch(&open()).await;
    retention_coarsens_answers_and_loses_no_probe_before_its_time(&open()).await;
    a_batch_that_nobody_can_tell_from_a_replay_is_refused(&open()).await;
    what_is_reattributed_counts_for_the_other_registration_alone(&open()).await;
    what_is_given_away_is_expected_of_the_other_registration_alone(&open()).await;
    what_was_dropped_is_kept_once_whatever_comes_again_or_late(&open()).await;
}

/// Two minutes of both series, `minutes` after midnight.
fn minutes_of(caller: &Caller, sequence: u64, minutes: u32) -> Batch {
    let at = |minute: u32| MIDNIGHT.plus(MINUTE * (minutes + minute));
    let measurements = (0..2)
        .flat_map(|minute| {
            [
                measurement(0, at(minute), 60, &[20_000, 21_500, 40_000]),
                measurement(1, at(minute), 60, &[1_500, 18_500]),
            ]
        })
        .collect();
    batch(caller, sequence, measurements)
}

async fn put(store: &dyn Store, caller: &Caller, batch: &Batch, now: Timestamp) -> PutOutcome {
    store.put(admitted(caller, batch.clone(), now)).await.unwrap()
}

async fn answer(store: &dyn Store) -> Vec<Each> {
    let everything = everything(1, MIDNIGHT, MIDNIGHT.plus(DAY * 30));
    let all = each(store, everything.clone()).await.unwrap();
    let counted = counted(store, everything).await.unwrap();
    let sum = |mut sum: Counters, one: &Counters| {
        sum.merge(one);
        sum
    };
    let whole = all.iter().map(|one| &one.totals.counters).fold(Counters::default(), sum);
    let alone = counted.iter().map(|totals| &totals.counters).fold(Counters::default(), sum);
    assert_eq!(whole, alone, "counters are the same without times");
    assert!(counted.iter().all(|totals| totals.histogram.is_empty() && totals.attributes.is_empty()));
    all
}

async fn a_replayed_batch_changes_nothing(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(MINUTE * 10));
    let batch = minutes_of(&caller, 0, 0);
    assert_eq!(put(store, &caller, &batch, now).await, PutOutcome::Stored);
    let before = answer(store).await;
    assert_eq!(scheduled(&before), 2 * (4 + 3));
    assert_eq!(put(store, &caller, &batch, now).await, PutOutcome::Duplicate);
    assert_eq!(answer(store).await, before);

    store.compact(now.plus(MINUTE * 60)).await.unwrap();
    assert_eq!(answer(store).await, before, "folding is not seen");
    assert_eq!(put(store, &caller, &batch, now.plus(MINUTE * 60)).await, PutOutcome::Duplicate);
    store.compact(now.plus(MINUTE * 61)).await.unwrap();
    assert_eq!(answer(store).await, before);

    let later = now.plus(DAY * 4);
    store.expire(later, RETENTION).await.unwrap();
    assert_eq!(answer(store).await, before, "rollups outlive what they were made of");
    // It was taken in time but waited: only the store itself can tell now.
    let outcome = put(store, &caller, &batch, now).await;
    assert!(matches!(outcome, PutOutcome::TooOld(_)), "{outcome:?}");
    assert_eq!(answer(store).await, before);
}

async fn a_number_names_the_same_bytes_for_ever(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(MINUTE * 90));
    let first = minutes_of(&caller, 7, 0);
    put(store, &caller, &first, now).await;
    let before = answer(store).await;
    assert_eq!(put(store, &caller, &minutes_of(&caller, 7, 30), now).await, PutOutcome::NumberReused);
    assert_eq!(answer(store).await, before);
    assert_eq!(store.ledgered(first.number).await.unwrap(), Some(digest(&first)));
    assert_eq!(store.ledgered(BatchNumber { sequence: 8, ..first.number }).await.unwrap(), None);
}

async fn a_part_of_a_stored_batch_changes_nothing(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(MINUTE * 10));
    let (whole, other) = (minutes_of(&caller, 0, 0), minutes_of(&caller, 1, 5));
    put(store, &caller, &whole, now).await;
    let before = answer(store).await;
    assert_eq!(put(store, &caller, &part_of(&whole, 2, 0), now).await, PutOutcome::Duplicate);
    assert_eq!(answer(store).await, before);
    for index in 0..2 {
        let part = part_of(&other, 3 + u64::from(index), index);
        assert_eq!(put(store, &caller, &part, now).await, PutOutcome::Stored, "its parent never arrived");
    }
    assert_eq!(scheduled(&answer(store).await), 2 * scheduled(&before));
}

async fn a_batch_of_which_nothing_was_admitted_is_known(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT);
    let future = batch(&caller, 0, vec![measurement(0, now.plus(MINUTE * 60), 60, &[1])]);
    assert_eq!(put(store, &caller, &future, now).await, PutOutcome::Stored);
    assert_eq!(store.ledgered(future.number).await.unwrap(), Some(digest(&future)));
    assert_eq!(put(store, &caller, &future, now).await, PutOutcome::Duplicate);
    assert!(answer(store).await.is_empty());
}

async fn a_late_batch_counts_in_an_hour_that_was_folded(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(DAY));
    put(store, &caller, &minutes_of(&caller, 0, 60), MIDNIGHT.plus(MINUTE * 70)).await;
    store.compact(now).await.unwrap();
    let before = scheduled(&answer(store).await);
    put(store, &caller, &minutes_of(&caller, 1, 63), now).await;
    assert_eq!(scheduled(&answer(store).await), 2 * before, "before it is folded again");
    store.compact(now.plus(MINUTE)).await.unwrap();
    assert_eq!(scheduled(&answer(store).await), 2 * before, "and after");
}

async fn organisations_never_meet(store: &dyn Store) {
    let now = MIDNIGHT.plus(MINUTE * 10);
    // The same site's name, the same series, another organisation; and what it calls the target is nobody else's.
    let (ours, theirs) = (caller(1, 1), caller(2, 2));
    put(store, &ours, &minutes_of(&ours, 0, 0), now).await;
    let before = answer(store).await;
    let mut batch = minutes_of(&theirs, 0, 0);
    for series in &mut batch.series {
        Arc::make_mut(&mut series.target).name = "theirs".into();
    }
    put(store, &theirs, &batch, now).await;
    store.compact(now.plus(DAY * 2)).await.unwrap();
    assert_eq!(answer(store).await, before);
    let them = each(store, everything(2, MIDNIGHT, now)).await.unwrap();
    assert!(them.iter().all(|row| row.key.agent == theirs.agent && row.series.target.name == "theirs"));
    assert_eq!(scheduled(&them), scheduled(&before));
    assert!(each(store, everything(3, MIDNIGHT, now)).await.unwrap().is_empty());
    let presence = store.presence(OrganisationId(1)).await.unwrap();
    assert!(presence.len() == 2 && presence.iter().all(|one| one.agent == ours.agent));
}

async fn a_targets_new_name_shows_and_two_names_do_not_alternate(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(MINUTE * 10));
    put(store, &caller, &minutes_of(&caller, 0, 0), now).await;
    let old = answer(store).await;
    let names = async || -> BTreeSet<String> {
        let new = answer(store).await;
        assert_eq!(new.len(), old.len(), "the name is no part of a series");
        new.into_iter().map(|row| row.series.target.name.clone()).collect()
    };
    let both = BTreeSet::from(["mail".to_owned(), "exchange-online".to_owned()]);
    let renamed = |sequence, name: &str| {
        let mut batch = minutes_of(&caller, sequence, 3);
        batch.series[0] = series(Metric::TcpConnect, name);
        batch
    };
    for (sequence, name, minutes, shown) in [
        (1, "mail", 1, &BTreeSet::from(["exchange-online".to_owned()])),
        (2, "mail", 60, &both),
        (3, "exchange-online", 61, &both),
        (4, "post", 119, &both),
    ] {
        put(store, &caller, &renamed(sequence, name), now.plus(MINUTE * minutes)).await;
        assert_eq!(&names().await, shown, "after {minutes} minutes");
    }
}

async fn what_was_not_admitted_leaves_no_trace(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(MINUTE * 10));
    put(store, &caller, &minutes_of(&caller, 0, 0), now).await;
    let mut refused = minutes_of(&caller, 1, 120);
    refused.series[0] = series(Metric::TcpConnect, "an impostor");
    let presence = async || -> Vec<_> {
        store.presence(OrganisationId(1)).await.unwrap().iter().map(Present::alone).collect()
    };
    let before = (answer(store).await, presence().await);
    assert_eq!(put(store, &caller, &refused, now).await, PutOutcome::Stored, "its number is taken");
    assert_eq!((answer(store).await, presence().await), before);
}

async fn presence_reaches_from_the_first_interval_to_the_last(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(MINUTE * 100));
    for (sequence, minutes) in [(0, 50), (1, 90), (2, 10)] {
        put(store, &caller, &minutes_of(&caller, sequence, minutes), now).await;
    }
    let presence = store.presence(OrganisationId(1)).await.unwrap();
    assert_eq!(presence.len(), 2);
    for one in presence.iter() {
        let span = (one.first, one.last);
        assert_eq!(span, (MIDNIGHT.plus(MINUTE * 10), MIDNIGHT.plus(MINUTE * 92)));
    }
}

async fn slots_and_filters_select(store: &dyn Store) {
    let (one, other) = (caller(1, 1), caller(1, 2));
    let now = MIDNIGHT.plus(DAY);
    put(store, &one, &minutes_of(&one, 0, 59), now).await;
    put(store, &other, &minutes_of(&other, 0, 59), now).await;
    let hours = Query {
        step: Some(Duration::from_hours(1)),
        metrics: BTreeSet::from([Metric::TcpConnect]),
        registrations: Some(BTreeSet::from([other.registration.id])),
        ..everything(1, MIDNIGHT, now)
    };
    for _folded in 0..2 {
        let rows = each(store, hours.clone()).await.unwrap();
        let slots: Vec<(Timestamp, u64)> =
            rows.iter().map(|row| (row.slot, row.totals.counters.scheduled)).collect();
        assert_eq!(slots, [(MIDNIGHT, 4), (MIDNIGHT.plus(Duration::from_hours(1)), 4)]);
        assert!(rows.iter().all(|row| row.key.agent == other.agent && row.key.metric == Metric::TcpConnect));
        store.compact(now.plus(DAY)).await.unwrap();
    }
}

async fn the_offset_of_a_clock_travels_with_its_batch(store: &dyn Store) {
    let caller = caller(1, 1);
    for (sequence, minutes, offset) in
        [(0, 0, Some(2_500_000)), (1, 30, Some(-4_000)), (2, 31, None), (3, 60, None)]
    {
        let batch = Batch { clock_offset_us: offset, ..minutes_of(&caller, sequence, minutes) };
        put(store, &caller, &batch, MIDNIGHT.plus(DAY)).await;
    }
    let of_span = async |from: u32, to: u32| {
        let span = everything(1, MIDNIGHT.plus(MINUTE * from), MIDNIGHT.plus(MINUTE * to));
        let rows = each(store, span).await.unwrap();
        let offsets: Vec<_> = rows.iter().map(|row| row.totals.clock_offsets).collect();
        assert_eq!(offsets.len(), 2, "one row for each series");
        assert_eq!(offsets[0], offsets[1]);
        offsets[0]
    };
    let range = |min_us, max_us| Some(ClockOffsets { min_us, max_us });
    for folded in [MIDNIGHT, MIDNIGHT.plus(DAY * 2)] {
        store.compact(folded).await.unwrap();
        assert_eq!(of_span(0, 15).await, range(2_500_000, 2_500_000));
        assert_eq!(of_span(30, 45).await, range(-4_000, -4_000), "a batch that knows none changes nothing");
        assert_eq!(of_span(0, 45).await, range(-4_000, 2_500_000));
        assert_eq!(of_span(60, 75).await, None, "what was true at another time says nothing of now");
    }
    store.expire(MIDNIGHT.plus(DAY * 7), RETENTION).await.unwrap();
    assert_eq!(of_span(0, 24 * 60).await, range(-4_000, 2_500_000), "whole days are left");
}

async fn retention_coarsens_answers_and_loses_no_probe_before_its_time(store: &dyn Store) {
    let caller = caller(1, 1);
    // No roll_up here: what is to expire must be folded first, however long the collector was down.
    put(store, &caller, &minutes_of(&caller, 0, 16 * 60), MIDNIGHT.plus(DAY)).await;
    let all = scheduled(&answer(store).await);
    let slots = |length: Duration| Query {
        step: Some(length),
        metrics: BTreeSet::from([Metric::TcpConnect]),
        ..everything(1, MIDNIGHT, MIDNIGHT.plus(DAY))
    };
    for (days, slot) in [(3, 16 * 60), (5, 16 * 60), (7, 0)] {
        store.expire(MIDNIGHT.plus(DAY * days).plus(MINUTE * 700), RETENTION).await.unwrap();
        assert_eq!(scheduled(&answer(store).await), all, "after {days} days");
        let rows = each(store, slots(MINUTE * 15)).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.slot).collect::<Vec<_>>(), [MIDNIGHT.plus(MINUTE * slot)]);
    }
    store.expire(MIDNIGHT.plus(DAY * 10), RETENTION).await.unwrap();
    assert_eq!(scheduled(&answer(store).await), 0);
    assert!(store.presence(OrganisationId(1)).await.unwrap().is_empty());
}

async fn a_batch_that_nobody_can_tell_from_a_replay_is_refused(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(MINUTE * 10));
    let batch = minutes_of(&caller, 0, 0);
    put(store, &caller, &batch, now).await;
    let before = answer(store).await;
    let expired = store.expire(MIDNIGHT.plus(DAY * 2).plus(MINUTE * 20), RETENTION).await.unwrap();
    assert_eq!(expired.ledger_entries, 1);
    // The clock is set back by two days: admission would let it in once more.
    assert_eq!(put(store, &caller, &batch, now).await, PutOutcome::TooOld(MIDNIGHT.plus(MINUTE * 20)));
    assert_eq!(answer(store).await, before);
    assert_eq!(
        put(store, &caller, &minutes_of(&caller, 1, 20), now.plus(MINUTE * 20)).await,
        PutOutcome::Stored
    );
}

async fn what_is_reattributed_counts_for_the_other_registration_alone(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(DAY));
    for (sequence, minutes) in [(0, 60), (1, 61), (2, 120)] {
        put(store, &caller, &minutes_of(&caller, sequence, minutes), now).await;
    }
    let of = async |registration: i64| {
        let registrations = Some(BTreeSet::from([crate::registry::RegistrationId(registration)]));
        let query = Query { registrations, ..everything(1, MIDNIGHT, MIDNIGHT.plus(DAY)) };
        scheduled(&each(store, query).await.unwrap())
    };
    let carry_out = async |order| {
        store.begin_reattribution(order).await.unwrap();
        store.reattribute(now).await.unwrap();
    };
    let one = 2 * (4 + 3);
    // Not folded yet: the first minute of the first batch alone.
    carry_out(reattribute(1, 2, None, MIDNIGHT.plus(MINUTE * 61))).await;
    assert_eq!((of(1).await, of(2).await), (5 * one / 2, one / 2));
    store.compact(now.plus(DAY)).await.unwrap();
    assert_eq!((of(1).await, of(2).await), (5 * one / 2, one / 2), "nor does folding change it");
    // Folded: up to two hours after midnight, and a replay changes nothing.
    carry_out(reattribute(1, 2, Some(MIDNIGHT), MIDNIGHT.plus(MINUTE * 120))).await;
    assert_eq!((of(1).await, of(2).await), (one, 2 * one));
    let again = put(store, &caller, &minutes_of(&caller, 0, 60), now).await;
    assert_eq!((again, of(1).await, of(2).await), (PutOutcome::Duplicate, one, 2 * one));
    // What it was made of has gone, and then the quarter hours have, too.
    store.expire(MIDNIGHT.plus(DAY * 5), RETENTION).await.unwrap();
    carry_out(reattribute(2, 3, Some(MIDNIGHT.plus(MINUTE * 45)), MIDNIGHT.plus(MINUTE * 75))).await;
    assert_eq!((of(1).await, of(2).await, of(3).await), (one, 0, 2 * one));
    store.expire(MIDNIGHT.plus(DAY * 7), RETENTION).await.unwrap();
    carry_out(reattribute(3, 1, None, MIDNIGHT.plus(DAY))).await;
    assert_eq!((of(1).await, of(2).await, of(3).await), (3 * one, 0, 0));
}

async fn what_is_given_away_is_expected_of_the_other_registration_alone(store: &dyn Store) {
    let (caller, now) = (caller(1, 1), MIDNIGHT.plus(DAY));
    put(store, &caller, &minutes_of(&caller, 0, 60), now).await;
    put(store, &caller, &minutes_of(&caller, 1, 180), now).await;
    let at = |minutes: u32| MIDNIGHT.plus(MINUTE * minutes);
    let present = async |registration: i64| -> BTreeSet<_> {
        let presence = store.presence(OrganisationId(1)).await.unwrap();
        let of = presence.iter().filter(|seen| seen.registration.0 == registration);
        of.map(|seen| (seen.first, seen.last, seen.given_away.to_vec())).collect()
    };
    let whole = (at(60), at(182), Vec::new());
    assert_eq!(present(1).await, BTreeSet::from([whole.clone()]));
    for (from, to) in [(1, 2), (2, 1)] {
        store.begin_reattribution(reattribute(from, to, Some(at(90)), at(120))).await.unwrap();
        store.reattribute(now).await.unwrap();
        if to == 2 {
            let middle = vec![(at(90), at(120))];
            assert_eq!(present(1).await, BTreeSet::from([(at(60), at(182), middle)]));
            assert_eq!(present(2).await, BTreeSet::from([(at(90), at(120), Vec::new())]));
        }
    }
    assert_eq!((present(1).await, present(2).await), (BTreeSet::from([whole]), BTreeSet::new()));
}

async fn what_was_dropped_is_kept_once_whatever_comes_again_or_late(store: &dyn Store) {
    let caller = caller(1, 1);
    let now = MIDNIGHT.plus(MINUTE * 10);
    // The second measurement repeats the first, and so is refused.
    let twice = |sequence| {
        let one = measurement(0, MIDNIGHT, 60, &[20_000]);
        batch(&caller, sequence, vec![one.clone(), one])
    };
    let telling = |sequence, id: u8, measurements| {
        let entry = DropEntry {
            hour: MIDNIGHT,
            uplink: "london-1".into(),
            reason: DropReason::SpoolFull,
            measurements,
            turns: measurements * 6,
            unread_batches: 0,
            first: MIDNIGHT,
            last: MIDNIGHT.plus(MINUTE),
        };
        let account = Account { id: AccountId::new([id; 16]), until: measurements, entries: vec![entry] };
        let health = Health { dropped: Some(account), ..Health::default() };
        Batch { health, ..batch(&caller, sequence, vec![measurement(0, MIDNIGHT, 60, &[20_000])]) }
    };
    let missing = async || {
        let found = store.dropped(OrganisationId(1), MIDNIGHT, now).await.unwrap();
        let row = |one: Dropped| (one.registration, one.by_agent, one.reason, one.measurements, one.turns);
        found.into_iter().map(row).collect::<Vec<_>>()
    };
    let site = Some(RegistrationId(1));
    let full = |measurements| (site, true, "spool_full".to_owned(), measurements, measurements * 6);
    let repeated = (site, false, "refused_repeated".to_owned(), 1, 2);
    for outcome in [PutOutcome::Stored, PutOutcome::Duplicate] {
        assert_eq!(put(store, &caller, &twice(0), now).await, outcome);
        assert_eq!(missing().await, std::slice::from_ref(&repeated));
    }
    // Totals of one account: the greatest holds, in whatever order they come.
    for (sequence, told, kept) in [(1, 5, 5), (2, 3, 5), (3, 9, 9), (1, 5, 9)] {
        put(store, &caller, &telling(sequence, 1, told), now).await;
        assert_eq!(missing().await, [repeated.clone(), full(kept)]);
    }
    let elsewhere = store.dropped(OrganisationId(2), MIDNIGHT, now).await.unwrap();
    let later = store.dropped(OrganisationId(1), MIDNIGHT.plus(MINUTE), now).await.unwrap();
    assert_eq!((elsewhere, later), (vec![], vec![]));
}

mod backends {
    use super::{MemoryStore, suite};
    use crate::store::SqliteStore;

    #[tokio::test]
    async fn the_model_conforms() {
        suite(MemoryStore::default).await;
    }

    #[tokio::test]
    async fn sqlite_conforms() {
        let directory = tempfile::tempdir().unwrap();
        let mut opened = 0;
        suite(|| {
            opened += 1;
            SqliteStore::open(&directory.path().join(format!("{opened}.sqlite"))).unwrap()
        })
        .await;
    }
}
