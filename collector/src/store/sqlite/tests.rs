//! What is SQLite's own: the file outlives the process, one process owns it, and damage stays where it is.

mod damage;

use super::*;
use crate::{
    registry::RegistrationId,
    store::{
        Moved,
        fixture::{
            DAY, Each, MIDNIGHT, MINUTE, RETENTION, admitted, batch, caller, each, everything, measurement,
            reattribute, scheduled,
        },
        sqlite::expiry::Layer,
    },
};
use futures::future::join_all;
use peerlight_proto::batch::Batch;
use std::time::Duration;
use tempfile::TempDir;

/// When the first hour is over and settled.
const NOW: Timestamp = Timestamp::from_secs(MIDNIGHT.as_secs() + 4_000);

struct Opened {
    store: SqliteStore,
    directory: TempDir,
}

fn path(directory: &TempDir) -> PathBuf {
    directory.path().join("store.sqlite")
}

fn open() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    Opened { store: SqliteStore::open(&path(&directory)).unwrap(), directory }
}

/// One minute of site 1, `minutes` after midnight.
fn minute(sequence: u64, minutes: u32) -> Batch {
    let start = MIDNIGHT.plus(MINUTE * minutes);
    batch(&caller(1, 1), sequence, vec![measurement(0, start, 60, &[20_000, 30_000])])
}

async fn put(store: &SqliteStore, batch: Batch) -> Result<PutOutcome, StoreError> {
    store.put(admitted(&caller(1, 1), batch, NOW)).await
}

async fn answer(store: &SqliteStore) -> Result<Vec<Each>, StoreError> {
    each(store, everything(1, MIDNIGHT, MIDNIGHT.plus(DAY))).await
}

/// A second connection, as a careless administrator opens one.
fn meddle(directory: &TempDir, sql: &str) -> usize {
    Connection::open(path(directory)).unwrap().execute(sql, []).unwrap()
}

#[tokio::test]
async fn a_store_that_is_opened_again_holds_what_it_held() {
    let Opened { store, directory } = open();
    put(&store, minute(0, 0)).await.unwrap();
    put(&store, minute(1, 20)).await.unwrap();
    store.compact(NOW.plus(DAY)).await.unwrap();
    put(&store, minute(2, 1)).await.unwrap();
    let (rows, health) = (answer(&store).await.unwrap(), store.health().await.unwrap());
    drop(store);

    let store = SqliteStore::open(&path(&directory)).unwrap();
    assert_eq!(answer(&store).await.unwrap(), rows);
    assert_eq!(store.health().await.unwrap(), Health { wal_bytes: 0, ..health.clone() });
    assert_eq!((health.log_batches, health.ledger_entries, health.stale_rollups), (1, 3, 0));
    assert_eq!(health.oldest, Some(MIDNIGHT));
    assert_eq!(put(&store, minute(0, 0)).await.unwrap(), PutOutcome::Duplicate);
}

#[test]
fn one_process_owns_the_file() {
    let Opened { store, directory } = open();
    let error = SqliteStore::open(&path(&directory)).unwrap_err().to_string();
    let path = path(&directory);
    let process = std::process::id();
    let expected =
        format!("{} belongs to a running collector (process {process}); stop that one first", path.display());
    assert_eq!(error, expected);
    drop(store);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_file_of_a_newer_collector_is_left_alone() {
    let Opened { store, directory } = open();
    drop(store);
    Connection::open(path(&directory)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path(&directory)).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { version: 99, .. }), "{error}");
}

#[test]
fn a_file_from_before_the_first_release_is_refused_with_what_to_do() {
    let Opened { store, directory } = open();
    drop(store);
    Connection::open(path(&directory)).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let error = SqliteStore::open(&path(&directory)).unwrap_err().to_string();
    assert!(error.ends_with("move it away and let agents send again (`peerlight-agent resend`)"), "{error}");
}

#[tokio::test]
async fn a_crowd_of_batches_is_stored_in_few_transactions_and_each_is_answered() {
    let Opened { store, directory: _directory } = open();
    let puts = (0..300).map(|sequence| put(&store, minute(sequence / 2, 0)));
    let mut stored = 0;
    for outcome in join_all(puts).await {
        stored += u64::from(outcome.unwrap() == PutOutcome::Stored);
    }
    assert_eq!(stored, 150, "each number came twice, in one transaction or in two");
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 150 * 3);
}

#[tokio::test]
async fn a_put_while_the_log_is_folded_counts_once() {
    let Opened { store, directory: _directory } = open();
    put(&store, minute(0, 0)).await.unwrap();
    let later = NOW.plus(DAY);
    let find = move |reader: &mut Reader| Ok(fold::outstanding(&reader.db, later, false).unwrap());
    let Outstanding { swept, stripes } = store.read(find).await.unwrap();
    let slice = store.read(move |reader| slice::read_slice(reader, 0, &stripes[&0])).await.unwrap();
    put(&store, minute(1, 1)).await.unwrap();
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 6, "nothing is folded yet");
    store.write("fold", move |db| fold::write_slice(db, &slice)).await.unwrap();
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 6, "the first is folded, and in the log");
    while store.write("sweep", move |db| fold::sweep(db, swept)).await.unwrap() {}
    assert_eq!(store.health().await.unwrap().log_batches, 1);
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 6, "the first is folded, the other in the log");
    store.compact(later).await.unwrap();
    assert_eq!(store.health().await.unwrap().log_batches, 0);
    put(&store, minute(2, 2)).await.unwrap();
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 9, "numbers of batches begin anew");
}

#[tokio::test]
async fn answers_come_from_rollups_once_they_are_fresh() {
    let Opened { store, directory } = open();
    put(&store, minute(0, 0)).await.unwrap();
    let before = answer(&store).await.unwrap();
    assert_eq!(store.compact(MIDNIGHT.plus(DAY * 2)).await.unwrap(), 2, "an hour and its day");
    assert_eq!(meddle(&directory, "DELETE FROM segment WHERE resolution = 0"), 1);
    assert_eq!(answer(&store).await.unwrap(), before, "quarter hours or the day suffice");
    assert_eq!(meddle(&directory, "DELETE FROM segment WHERE resolution = 900"), 1);
    assert_eq!(answer(&store).await.unwrap(), before, "the day suffices");
}

#[tokio::test]
async fn a_log_is_folded_when_its_quarter_hour_is_over_and_what_reaches_into_the_next_one_waits() {
    let Opened { store, directory: _directory } = open();
    let put = async |sequence: u64, minutes: u32| {
        let received = MIDNIGHT.plus(MINUTE * (minutes + 1));
        store.put(admitted(&caller(1, 1), minute(sequence, minutes), received)).await.unwrap();
    };
    let log_at = async |minutes: u32, seconds: u64| {
        store.compact(MIDNIGHT.plus(MINUTE * minutes).plus(Duration::from_secs(seconds))).await.unwrap();
        assert_eq!(store.health().await.unwrap().stale_rollups, 1, "the day's");
        store.health().await.unwrap().log_batches
    };
    put(0, 0).await;
    put(1, 14).await;
    put(2, 15).await;
    assert_eq!(store.health().await.unwrap().log_batches, 3);
    store.compact(MIDNIGHT.plus(MINUTE * 16)).await.unwrap();
    assert_eq!(store.health().await.unwrap().log_batches, 3, "its last minute may still come");
    assert_eq!(log_at(16, 30).await, 1);
    put(3, 29).await;
    assert_eq!(log_at(31, 29).await, 2);
    assert_eq!(log_at(31, 30).await, 0);
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 12);
}

#[tokio::test]
async fn what_comes_late_is_added_and_its_quarter_hour_recomputed() {
    let Opened { store, directory } = open();
    let count = |resolution: i64| {
        let db = Connection::open(path(&directory)).unwrap();
        let sql = "SELECT count(*) FROM segment WHERE resolution = ?1";
        db.query_row(sql, [resolution], |row| row.get::<_, i64>(0)).unwrap()
    };
    for minutes in [0, 20, 40, 1, 21] {
        put(&store, minute(minutes.into(), minutes)).await.unwrap();
        store.fold(NOW, true).await.unwrap();
    }
    let before = answer(&store).await.unwrap();
    assert_eq!((count(0), count(900)), (5, 3), "what came late stands beside the first");
    assert_eq!(store.health().await.unwrap().stale_rollups, 3, "two quarter hours and the day");
    store.compact(NOW).await.unwrap();
    assert_eq!((count(0), count(900)), (3, 1), "the quarter hours of the hour stand in one");
    assert_eq!(answer(&store).await.unwrap(), before);
    put(&store, minute(2, 2)).await.unwrap();
    store.fold(NOW, true).await.unwrap();
    let before = answer(&store).await.unwrap();
    assert_eq!(scheduled(&before), 18);
    store.compact(NOW.plus(DAY)).await.unwrap();
    assert_eq!((count(0), count(900), count(86_400)), (3, 1, 1));
    assert_eq!(answer(&store).await.unwrap(), before);
    drop(store);
    let found = SqliteStore::verify(&path(&directory), &mut |_, _| ()).unwrap();
    assert_eq!((found.faults, found.rollups), (0, 2), "{:?}", found.told);
}

#[tokio::test]
async fn nothing_goes_from_below_a_rollup_that_cannot_be_made_until_patience_ends() {
    let Opened { store, directory: _directory } = open();
    for minutes in [0, 1] {
        put(&store, minute(minutes.into(), minutes)).await.unwrap();
        store.fold(NOW, true).await.unwrap();
    }
    let expire = async |days: u32| {
        let now = MIDNIGHT.plus(DAY * days);
        store.writer.run(move |db| expiry::slice(db, Layer::Measured, now, &RETENTION)).await.unwrap()
    };
    assert_eq!(expire(9).await, 0, "its quarter hour is stale");
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 6);
    assert_eq!(expire(11).await, 2, "the retention of 3 days and a week of patience");
    assert_eq!(store.health().await.unwrap().stale_rollups, 1, "the day's; the quarter hour's is settled");
}

#[tokio::test]
async fn what_was_dropped_goes_where_the_rest_goes_and_when_days_do() {
    let Opened { store, directory: _directory } = open();
    let caller = caller(1, 1);
    let twice = Batch { measurements: vec![minute(0, 0).measurements.remove(0); 2], ..minute(0, 0) };
    store.put(admitted(&caller, twice, NOW)).await.unwrap();
    let of = async || {
        let missing = store.dropped(OrganisationId(1), MIDNIGHT, NOW.plus(DAY)).await.unwrap();
        missing.iter().map(|one| (one.registration, one.measurements)).collect::<Vec<_>>()
    };
    assert_eq!(of().await, [(Some(RegistrationId(1)), 1)]);
    store.begin_reattribution(reattribute(1, 2, Some(MIDNIGHT), MIDNIGHT.plus(DAY))).await.unwrap();
    store.reattribute(NOW).await.unwrap();
    assert_eq!(of().await, [(Some(RegistrationId(2)), 1)]);
    assert_eq!(store.health().await.unwrap().dropped, [("refused_repeated".to_owned(), 1)].into());
    store.expire(NOW.plus(DAY * 8), RETENTION).await.unwrap();
    assert_eq!(of().await.len(), 1, "the day is kept");
    store.expire(NOW.plus(DAY * 10), RETENTION).await.unwrap();
    assert_eq!(of().await, []);
    assert_eq!(store.health().await.unwrap().dropped, [("refused_repeated".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_batch_that_cannot_be_written_fails_alone() {
    let Opened { store, directory } = open();
    put(&store, minute(0, 0)).await.unwrap();
    assert_eq!(meddle(&directory, "UPDATE ledger SET sha256 = x'00'"), 1);
    let (damaged, sound) = futures::join!(put(&store, minute(0, 0)), put(&store, minute(1, 1)));
    assert!(matches!(damaged.unwrap_err(), StoreError::Damaged { what: "ledger", .. }));
    assert_eq!(sound.unwrap(), PutOutcome::Stored);
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 6);
}

#[tokio::test]
async fn what_a_fleet_sends_in_a_minute_stands_together_in_the_ledger() {
    let Opened { store, directory } = open();
    let put = async |site: u8, sequence: u64, minutes: u32| {
        let caller = caller(1, site);
        let number = batch(&caller, sequence, Vec::new()).number;
        let received = NOW.plus(MINUTE * minutes);
        store.put(admitted(&caller, Batch { number, ..minute(0, 0) }, received)).await.unwrap()
    };
    let last = i64::MAX.unsigned_abs();
    for (site, first) in [(1, 0), (2, 43_200), (3, last - 1)] {
        for minutes in [0, 1] {
            assert_eq!(put(site, first + u64::from(minutes), minutes).await, PutOutcome::Stored);
        }
        assert_eq!(put(site, first, 1).await, PutOutcome::Duplicate, "it is found again");
    }
    let db = Connection::open(path(&directory)).unwrap();
    let turns: Vec<(i64, i64)> = db
        .prepare("SELECT turn, count(*) FROM ledger GROUP BY turn ORDER BY turn")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let now = NOW.as_secs() / 60;
    assert_eq!(turns, [(now, 3), (now + 1, 3)]);
}

#[tokio::test]
async fn a_full_disk_fails_a_put_and_the_next_one_succeeds() {
    let Opened { store, directory: _directory } = open();
    put(&store, minute(0, 0)).await.unwrap();
    let limit = async |pages: i64| {
        let set = move |db: &mut Connection| {
            db.pragma_update(None, "max_page_count", pages).map_err(StoreError::while_doing("limit the file"))
        };
        store.writer.run(set).await.unwrap();
    };
    limit(1).await;
    let many = |sequence| {
        let values: Vec<u64> = (0..60).map(|value| value * 977).collect();
        let measurements =
            (0..55).map(|at| measurement(0, MIDNIGHT.plus(MINUTE * at), 60, &values)).collect();
        batch(&caller(1, 1), sequence, measurements)
    };
    let outcomes = join_all((1..60).map(|sequence| put(&store, many(sequence)))).await;
    assert!(outcomes.iter().any(Result::is_err), "the file may not grow");
    limit(1 << 30).await;
    let mut stored = 0;
    for (sequence, outcome) in (1..60).zip(&outcomes) {
        let again = put(&store, many(sequence)).await.unwrap();
        let expected = if outcome.is_ok() { PutOutcome::Duplicate } else { PutOutcome::Stored };
        assert_eq!(again, expected, "batch {sequence}");
        stored += 55 * 61;
    }
    assert_eq!(scheduled(&answer(&store).await.unwrap()), stored + 3);
}

#[tokio::test]
async fn a_span_that_cuts_a_rollup_which_cannot_be_taken_apart_is_refused_with_where_it_may_end() {
    let Opened { store, directory: _directory } = open();
    put(&store, minute(0, 20)).await.unwrap();
    store.expire(MIDNIGHT.plus(DAY * 5), RETENTION).await.unwrap();
    let refused = async |minutes: u32| {
        let order = reattribute(1, 2, None, MIDNIGHT.plus(MINUTE * minutes));
        store.begin_reattribution(order).await.map_err(|error| error.to_string())
    };
    assert_eq!(
        refused(20).await.unwrap_err(),
        "2026-11-16T00:20:00Z lies within a rollup whose measurements have expired, which can only move whole; \
         end the span at 2026-11-16T00:15:00Z or at 2026-11-16T00:30:00Z"
    );
    assert!(refused(30).await.is_ok());
    store.reattribute(NOW).await.unwrap();
    store.expire(MIDNIGHT.plus(DAY * 7), RETENTION).await.unwrap();
    assert!(refused(30).await.unwrap_err().contains("at 2026-11-16T00:00:00Z or at 2026-11-17T00:00:00Z"));
}

#[tokio::test]
async fn what_waits_to_be_reattributed_does_not_expire_and_goes_on_after_a_restart() {
    let Opened { store, directory } = open();
    put(&store, minute(0, 0)).await.unwrap();
    put(&store, minute(1, 20)).await.unwrap();
    let until = MIDNIGHT.plus(MINUTE * 20);
    let id = store.begin_reattribution(reattribute(1, 2, None, until)).await.unwrap();
    let expired = store.expire(MIDNIGHT.plus(DAY * 4), RETENTION).await.unwrap();
    assert_eq!(expired.measured, 0);
    drop(store);

    let store = SqliteStore::open(&path(&directory)).unwrap();
    store.reattribute(NOW).await.unwrap();
    let done = store.reattributions().await.unwrap().remove(0);
    assert_eq!((done.id, done.finished), (id, Some(NOW)));
    let moved = Moved { measurements: 1, rollup_rows: 0, probes: 3, spans: 2, unreadable: 0 };
    assert_eq!(done.moved, moved, "the quarter hour and its day");
    let rows = answer(&store).await.unwrap();
    let counts: Vec<_> =
        rows.iter().map(|row| (row.key.registration.0, row.totals.counters.scheduled)).collect();
    assert_eq!(counts, [(1, 3), (2, 3)]);
    assert_eq!(store.expire(MIDNIGHT.plus(DAY * 4), RETENTION).await.unwrap().measured, 2);
}

#[tokio::test]
async fn verification_finds_what_a_meddler_changed() {
    let Opened { store, directory } = open();
    for (sequence, minutes) in [(0, 0), (1, 20), (2, 90)] {
        store.put(admitted(&caller(1, 1), minute(sequence, minutes), MIDNIGHT.plus(DAY))).await.unwrap();
    }
    store.compact(MIDNIGHT.plus(DAY * 2)).await.unwrap();
    store.put(admitted(&caller(1, 1), minute(3, 100), MIDNIGHT.plus(DAY))).await.unwrap();
    let verify = || SqliteStore::verify(&path(&directory), &mut |_done, _steps| {}).unwrap();
    let sound = verify();
    let expected = Verification {
        segments: 3 + 2 + 1,
        histograms: 3 + 3 + 1,
        log_batches: 1,
        ledger_entries: 4,
        rollups: 2 + 1,
        faults: 0,
        told: Vec::new(),
    };
    assert_eq!(sound, expected);
    let faults = |sql: &str, undo: &str| {
        meddle(&directory, sql);
        let told = verify().told;
        meddle(&directory, undo);
        assert_eq!(verify(), sound);
        told.join("; ")
    };
    let told = faults(
        "UPDATE segment SET cells = cells + 1 WHERE resolution = 86400",
        "UPDATE segment SET cells = cells - 1 WHERE resolution = 86400",
    );
    assert!(
        told.contains("resolution 86400") && told.ends_with("does not hold what it is said to"),
        "{told}"
    );
    let told = faults(
        "DELETE FROM ledger WHERE turn = (SELECT max(turn) FROM ledger)",
        "INSERT INTO ledger SELECT max(turn) + 1, 1, zeroblob(32), 9 FROM ledger",
    );
    assert_eq!(told, "the ledger holds 3 entries, but 4 were entered");
    let told = faults(
        "INSERT INTO segment SELECT 99, organisation, resolution, metric, start, stripe, 9, cells, probes, block
         FROM segment WHERE resolution = 0 AND start % 3600 = 0",
        "DELETE FROM segment WHERE id = 99",
    );
    assert!(told.starts_with("12 turns of schedules were acknowledged, but 15 are there"), "{told}");
    assert!(told.contains("resolution 900") && told.ends_with("differs from what it was made of"), "{told}");
}

#[tokio::test]
async fn usage_says_what_the_bytes_are_spent_on() {
    let Opened { store, directory: _directory } = open();
    for (sequence, minutes) in [(0, 0), (1, 20)] {
        store.put(admitted(&caller(1, 1), minute(sequence, minutes), MIDNIGHT.plus(DAY))).await.unwrap();
    }
    store.compact(MIDNIGHT.plus(DAY * 2)).await.unwrap();
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.measured.histograms, usage.quarter_hours.histograms, usage.days.histograms), (2, 2, 1));
    assert_eq!(usage.measured.newest_day_bytes, usage.measured.bytes);
    assert_eq!((usage.newest_day, usage.measured.oldest), (Some(MIDNIGHT), Some(MIDNIGHT)));
    let of_site = usage.registrations[&crate::registry::RegistrationId(1)];
    assert_eq!(of_site, (2, usage.measured.bytes));
    assert_eq!((usage.ledger_entries, usage.log_batches), (2, 0));
}
