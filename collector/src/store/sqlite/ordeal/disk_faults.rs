//! Calls that change files fail, once or for a while, wherever a store is: what was acknowledged is there, reports go on,
//! and when the disk works again all that was refused is taken and counts once.

use super::{
    KEPT, SqliteStore, assert_sound, begin_reattribution, counted, expected, ledgered, put, time_of,
    vfs::{Failing, Recording},
};
use crate::store::{PutOutcome, Store as _, StoreError};
use futures::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rusqlite::ffi;
use std::{collections::BTreeSet, path::Path};

const ROUNDS: u64 = 120;
const AT_ONCE: u64 = 3;
/// What disks and systems say, and what the store's word for it must name.
const CODES: [(i32, &str); 6] = [
    (ffi::SQLITE_FULL, "free space on its disk"),
    (ffi::SQLITE_IOERR_WRITE, "the system's log"),
    (ffi::SQLITE_IOERR_FSYNC, "the system's log"),
    (ffi::SQLITE_IOERR_TRUNCATE, "the system's log"),
    (ffi::SQLITE_IOERR_SHMSIZE, "the system's log"),
    (ffi::SQLITE_READONLY, "writable"),
];

/// Does all that a store does, whatever fails. Returns which batches it took.
async fn try_everything(store: &SqliteStore, numbers: &[u64], remedy: &str) -> BTreeSet<u64> {
    let now = time_of(numbers[numbers.len() - 1] + 1);
    let outcomes = join_all(numbers.iter().map(|number| put(store, *number))).await;
    let taken = numbers.iter().zip(outcomes).filter_map(|(number, outcome)| match outcome {
        Ok(PutOutcome::Stored) => Some(*number),
        Ok(other) => unreachable!("{number} is new: {other:?}"),
        Err(error) => {
            assert_explained(&error, remedy);
            None
        }
    });
    let taken = taken.collect();
    for done in [
        store.compact(now).await.map(drop),
        begin_reattribution(store, now).await.map(drop),
        store.reattribute(now).await,
        store.expire(now, KEPT).await.map(drop),
    ] {
        done.unwrap_or_else(|error| assert_explained(&error, remedy));
    }
    taken
}

fn assert_explained(error: &StoreError, remedy: &str) {
    assert!(error.trouble().is_some() && error.to_string().contains(remedy), "{error}");
}

/// Opens the store, at a time when that may fail, too.
fn open_again(path: &Path, recording: &Recording, remedy: &str) -> SqliteStore {
    match SqliteStore::open(path) {
        Ok(store) => store,
        Err(error) => {
            assert_explained(&error, remedy);
            recording.heal();
            SqliteStore::open(path).unwrap()
        }
    }
}

#[tokio::test]
async fn calls_that_fail_anywhere_lose_nothing_acknowledged_stop_no_report_and_end_by_themselves() {
    let temporary = tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap();
    let directory = temporary.path().canonicalize().unwrap();
    let path = &directory.join("store.sqlite");
    let recording = Recording::of(&directory);
    let mut store = SqliteStore::open(path).unwrap();
    let mut random = StdRng::seed_from_u64(20_261_130);
    let (mut there, mut failed, mut refused) = (BTreeSet::new(), [0; CODES.len()], 0);
    for round in 0..ROUNDS {
        let which = usize::try_from(round).unwrap() % CODES.len();
        let (code, remedy) = CODES[which];
        // Every third time until it is healed, else once or a few times.
        let times = if round % 3 == 0 { u64::MAX } else { random.random_range(1..8) };
        recording.fail(Failing { after: random.random_range(0..40), times, code });
        let numbers: Vec<u64> = (round * AT_ONCE..(round + 1) * AT_ONCE).collect();
        let taken = try_everything(&store, &numbers, remedy).await;
        refused += numbers.len() - taken.len();
        there.extend(taken);
        assert_eq!(
            counted(&store).await,
            expected(there.iter().copied()),
            "a report while {remedy} is advised"
        );
        if round % 5 == 4 {
            drop(store);
            store = open_again(path, &recording, remedy);
            // Whole batches that were not acknowledged may have reached the disk.
            there.extend(ledgered(&store, (round + 1) * AT_ONCE).await);
        }
        failed[which] += recording.heal();
        for number in numbers {
            let again = put(&store, number).await.unwrap();
            let known = if there.insert(number) { PutOutcome::Stored } else { PutOutcome::Duplicate };
            assert_eq!(again, known, "batch {number}, when the disk works again");
        }
    }
    let now = time_of(ROUNDS * AT_ONCE);
    store.reattribute(now).await.unwrap();
    store.compact(now).await.unwrap();
    store.expire(now, KEPT).await.unwrap();
    assert_eq!(counted(&store).await, expected(0..ROUNDS * AT_ONCE), "in the end each counts once");
    assert_sound(path);
    println!("{failed:?} calls failed in {ROUNDS} rounds, {refused} batches were refused");
    assert!(failed.iter().all(|calls| *calls > 0) && refused > 50, "{failed:?} {refused}");
}

#[tokio::test]
async fn on_a_full_disk_the_room_in_the_stores_own_files_is_used_again() {
    let temporary = tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap();
    let directory = temporary.path().canonicalize().unwrap();
    let path = &directory.join("store.sqlite");
    let recording = Recording::of(&directory);
    let store = SqliteStore::open(path).unwrap();
    // What was measured long ago expired, and left room in the database.
    let (old, new) = (0..300, 2_000..2_020);
    for outcome in join_all(old.clone().map(|number| put(&store, number))).await {
        outcome.unwrap();
    }
    store.expire(time_of(new.start), KEPT).await.unwrap();
    drop(store);
    let store = SqliteStore::open(path).unwrap();
    for number in new.clone() {
        put(&store, number).await.unwrap();
    }
    recording.fill();
    let error = put(&store, new.end).await.unwrap_err();
    assert_explained(&error, "free space on its disk");
    let after: Vec<u64> = (new.end + 1..new.end + 6).collect();
    for number in &after {
        assert_eq!(
            put(&store, *number).await.unwrap(),
            PutOutcome::Stored,
            "{number}, on a disk that is still full"
        );
    }
    assert_eq!(counted(&store).await, expected(old.chain(new).chain(after)));
    assert!(recording.heal() > 0);
    assert_sound(path);
}
