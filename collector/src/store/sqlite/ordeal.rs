//! What a store must stand: power cuts, full disks, failing calls. What the tests of these put in, and how they count it.

#![cfg(unix)]

mod disk;
mod disk_faults;
mod power_loss;
mod vfs;

use super::SqliteStore;
use crate::store::{
    PutOutcome, Reattribute, Retention, Store as _, StoreError,
    fixture::{
        DAY, MIDNIGHT, MINUTE, RETENTION, admitted, batch, caller, each, everything, measurement, reattribute,
    },
};
use futures::future::join_all;
use peerlight_proto::{batch::Batch, histogram::Histogram, time::Timestamp};
use std::{collections::BTreeSet, path::Path};

/// Half an hour lies between two batches, so that a few dozen span days: rollups and expiry have work.
const BETWEEN: u32 = 30;
/// Days are kept, so that every probe must be found in the end.
const KEPT: Retention =
    Retention { minute: DAY, quarter_hour: DAY, day: DAY.saturating_mul(1_000), ..RETENTION };

fn time_of(sequence: u64) -> Timestamp {
    MIDNIGHT.plus(MINUTE * BETWEEN * u32::try_from(sequence).unwrap())
}

/// Two minutes of measurements, that differ in each batch.
fn batch_of(sequence: u64) -> Batch {
    let (start, base) = (time_of(sequence), 10_000 + sequence);
    let minutes = (0..2).map(|minute| {
        measurement(0, start.plus(MINUTE * minute), 60, &[base, base * 2, base + u64::from(minute)])
    });
    batch(&caller(1, 1), sequence, minutes.collect())
}

async fn put(store: &SqliteStore, sequence: u64) -> Result<PutOutcome, StoreError> {
    store.put(admitted(&caller(1, 1), batch_of(sequence), time_of(sequence + 1))).await
}

/// Everything goes to and fro between two registrations.
async fn begin_reattribution(store: &SqliteStore, now: Timestamp) -> Result<i64, StoreError> {
    let there = store.reattributions().await?.len() % 2 == 0;
    let (from, to) = if there { (1, 2) } else { (2, 1) };
    let order: Reattribute = reattribute(from, to, None, now);
    store.begin_reattribution(order).await
}

/// What a report over all time counts: probes and times.
async fn counted(store: &SqliteStore) -> (u64, Histogram) {
    let mut found = (0, Histogram::default());
    let rows = each(store, everything(1, MIDNIGHT, MIDNIGHT.plus(DAY * 365))).await.unwrap();
    for row in rows {
        found.0 += row.totals.counters.scheduled;
        found.1.merge(&row.totals.histogram);
    }
    found
}

/// What it should count of these batches.
fn expected(sequences: impl IntoIterator<Item = u64>) -> (u64, Histogram) {
    let mut expected = (0, Histogram::default());
    for one in sequences.into_iter().flat_map(|sequence| batch_of(sequence).measurements) {
        expected.0 += one.counters.scheduled;
        expected.1.merge(&one.histogram);
    }
    expected
}

/// Which of the first batches are in the ledger, or were until they expired.
async fn ledgered(store: &SqliteStore, first: u64) -> BTreeSet<u64> {
    let mut ledgered = BTreeSet::new();
    for sequence in 0..first {
        if store.ledgered(batch_of(sequence).number).await.unwrap().is_some() {
            ledgered.insert(sequence);
        }
    }
    ledgered
}

/// Nothing is wrong with the file.
fn assert_sound(path: &Path) {
    let verified = SqliteStore::verify(path, &mut |_done, _steps| {}).unwrap();
    assert_eq!(verified.told, Vec::<String>::new(), "{}", path.display());
}

/// Every one of the first batches comes again: those that are there change nothing, and the others are counted once.
async fn send_again(store: &SqliteStore, sent: u64, there: &BTreeSet<u64>) {
    let outcomes = join_all((0..sent).map(|sequence| put(store, sequence))).await;
    for (sequence, outcome) in (0..).zip(outcomes) {
        match outcome.unwrap() {
            PutOutcome::Stored => assert!(!there.contains(&sequence), "batch {sequence} counts twice"),
            PutOutcome::Duplicate | PutOutcome::TooOld(_) => {
                assert!(there.contains(&sequence), "batch {sequence} is refused, and is not there");
            }
            PutOutcome::NumberReused => unreachable!("batch {sequence} is what it was"),
        }
    }
}
