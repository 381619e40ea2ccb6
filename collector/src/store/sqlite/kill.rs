//! The collector's store under kill -9 and at each crash point: what was acknowledged is there, and counted once; so is what
//! its agent dropped, and what was refused.
//!
//! The child is this test binary again, running the ignored test below.

#![cfg(all(unix, feature = "crash-points"))]

use super::SqliteStore;
use crate::{
    backup::back_up,
    identity::Identity,
    organisation::OrganisationId,
    paths,
    registry::Registry,
    store::{
        PutOutcome, Reattribute, Retention, Store as _,
        crash_point::CRASH_POINTS,
        dropped::refused,
        fixture::{
            DAY, MIDNIGHT, MINUTE, RETENTION, admitted, batch, caller, each, everything, measurement,
            reattribute,
        },
    },
};
use futures::future::join_all;
use peerlight_proto::{
    ack::RefusalCode,
    batch::{Batch, Health},
    drops::{Account, DropEntry, DropReason, hour_of},
    histogram::Histogram,
    id::AccountId,
    measurement::Measurement,
    time::Timestamp,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How often the store is killed for each seed, unless `PEERLIGHT_KILLS` asks for more.
const KILLS: usize = 250;
/// How many batches one life of the child puts at most, this many at once.
const LIFE: u64 = 48;
const AT_ONCE: u64 = 4;
/// Ten minutes lie between two batches, so that the lives of one test span weeks: rollups and expiry have work.
const BETWEEN: u32 = 10;
/// How many batches tell of one account of what was dropped, before the agent begins another.
const ACCOUNT: u64 = 9;
/// Days are kept, so that every probe must be found in the end.
const KEPT: Retention = Retention { day: DAY.saturating_mul(1_000), ..RETENTION };

fn time_of(sequence: u64) -> Timestamp {
    MIDNIGHT.plus(MINUTE * BETWEEN * u32::try_from(sequence).unwrap())
}

/// What a batch counts.
fn measured(sequence: u64) -> [Measurement; 3] {
    let (start, base) = (time_of(sequence), 10_000 + sequence);
    [0, 1, 2].map(|minute| {
        measurement(0, start.plus(MINUTE * minute), 60, &[base, base * 2, base + u64::from(minute)])
    })
}

/// The agent's account when it makes a batch. Before each one it dropped something, the more the higher its number.
fn account_of(sequence: u64) -> Account {
    let number = sequence / ACCOUNT;
    let mut entries: BTreeMap<Timestamp, DropEntry> = BTreeMap::new();
    for dropped in number * ACCOUNT..=sequence {
        let (first, last) = (time_of(dropped), time_of(dropped).plus(MINUTE));
        let entry = entries.entry(hour_of(first)).or_insert_with(|| DropEntry {
            hour: hour_of(first),
            uplink: "london-1".into(),
            reason: DropReason::SpoolFull,
            measurements: 0,
            turns: 0,
            unread_batches: 0,
            first,
            last,
        });
        entry.measurements += dropped;
        entry.turns += dropped * 6;
        entry.unread_batches += 1;
        entry.last = last;
    }
    let id = AccountId::new(u128::from(number).to_be_bytes());
    Account { id, until: sequence, entries: entries.into_values().collect() }
}

/// The last measurement is there twice, and refused once.
fn batch_of(sequence: u64) -> Batch {
    let [first, second, last] = measured(sequence);
    let health = Health { dropped: Some(account_of(sequence)), ..Health::default() };
    Batch { health, ..batch(&caller(1, 1), sequence, vec![first, second, last.clone(), last]) }
}

/// Measurements, turns and batches of unknown content that are missing, by hour and reason.
type Missing = BTreeMap<(Timestamp, String), [u64; 3]>;

fn add(missing: &mut Missing, hour: Timestamp, reason: String, more: [u64; 3]) {
    let sums = missing.entry((hour, reason)).or_default();
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// What the store should tell when these batches are stored: the probes and times that it counts, and what is missing. Of each
/// account that is what its last batch told.
fn expected(stored: &BTreeSet<u64>) -> ((u64, Histogram), Missing) {
    let (mut counted, mut missing) = ((0, Histogram::default()), Missing::new());
    for &sequence in stored {
        let measured = measured(sequence);
        for one in &measured {
            counted.0 += one.counters.scheduled;
            counted.1.merge(&one.histogram);
        }
        let [.., repeated] = measured;
        let hour = hour_of(repeated.interval.start());
        add(&mut missing, hour, refused(RefusalCode::Repeated), [1, repeated.counters.scheduled, 0]);
        let next_account = (sequence / ACCOUNT + 1) * ACCOUNT;
        if stored.range(sequence + 1..next_account).next().is_none() {
            for entry in account_of(sequence).entries {
                let told = [entry.measurements, entry.turns, entry.unread_batches];
                add(&mut missing, entry.hour, entry.reason.to_string(), told);
            }
        }
    }
    (counted, missing)
}

/// What the store says is missing of all its registrations, in the hours of the account and ever since.
async fn assert_missing(store: &SqliteStore, end: Timestamp, expected: &Missing) {
    let mut found = Missing::new();
    for one in store.dropped(OrganisationId(1), MIDNIGHT, end).await.unwrap() {
        add(&mut found, one.hour, one.reason, [one.measurements, one.turns, one.unread_batches]);
    }
    assert_eq!(found, *expected);
    let mut ever: BTreeMap<String, u64> = BTreeMap::new();
    for ((_hour, reason), [measurements, ..]) in expected {
        *ever.entry(reason.clone()).or_default() += measurements;
    }
    assert_eq!(store.health().await.unwrap().dropped, ever);
}

/// Everything goes to and fro between two registrations.
async fn order_of(store: &SqliteStore, now: Timestamp) -> Reattribute {
    let there = store.reattributions().await.unwrap().len() % 2 == 0;
    let (from, to) = if there { (1, 2) } else { (2, 1) };
    reattribute(from, to, None, now)
}

/// What one life of the child does.
async fn live(directory: &Path, first: u64) {
    let store = &SqliteStore::open(&paths::store(directory)).unwrap();
    for group in (first..first + LIFE).step_by(usize::try_from(AT_ONCE).unwrap()) {
        // The last group comes again: nobody knows whether its acknowledgement arrived.
        let numbers = group.saturating_sub(AT_ONCE)..group + AT_ONCE;
        let now = time_of(group + AT_ONCE);
        let put = async |sequence| {
            store.put(admitted(&caller(1, 1), batch_of(sequence), now)).await.unwrap();
            println!("acked {sequence}");
        };
        join_all(numbers.map(put)).await;
        store.compact(now).await.unwrap();
        store.begin_reattribution(order_of(store, now).await).await.unwrap();
        store.reattribute(now).await.unwrap();
        if (group - first).is_multiple_of(4 * AT_ONCE) {
            store.expire(now, KEPT).await.unwrap();
        }
        if group - first == LIFE / 2 {
            back_up(directory, &directory.join("copy"), &mut |_done, _of| {}).unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "the child of the test below, which kills it"]
async fn a_life() {
    let directory = PathBuf::from(std::env::var_os("PEERLIGHT_TEST_STORE").unwrap());
    let first = std::env::var("PEERLIGHT_TEST_FIRST").unwrap().parse().unwrap();
    live(&directory, first).await;
}

/// Lets a child live until it dies at `point`, is killed after it acknowledged `patience` batches, or is done. Returns
/// what it acknowledged, and whether it was killed.
fn life(directory: &Path, first: u64, point: Option<&str>, patience: u64) -> (BTreeSet<u64>, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store::sqlite::kill::a_life", "--nocapture"])
        .env("PEERLIGHT_TEST_STORE", directory)
        .env("PEERLIGHT_TEST_FIRST", first.to_string())
        .env("PEERLIGHT_CRASH_AT", point.unwrap_or("nowhere"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The harness writes on the same line before the first.
        let line = line.unwrap();
        let Some((_harness, sequence)) = line.split_once("acked ") else { continue };
        acknowledged.insert(sequence.parse().unwrap());
        if point.is_none() && !killed && acknowledged.len() as u64 >= patience {
            child.kill().unwrap();
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal().is_some(), "the child failed by itself: {status}");
    (acknowledged, status.signal().is_some())
}

/// Opens what the dead left, and counts it.
async fn check(directory: &Path, acknowledged: &BTreeSet<u64>, stored: &mut BTreeSet<u64>) {
    let path = &paths::store(directory);
    let store = SqliteStore::open(path).unwrap();
    let first = stored.last().map_or(0, |last| last + 1);
    let mut beyond = BTreeSet::new();
    for sequence in first..first + LIFE {
        if store.ledgered(batch_of(sequence).number).await.unwrap().is_some() {
            beyond.insert(sequence);
        }
    }
    stored.extend(beyond);
    assert!(acknowledged.is_subset(stored), "acknowledged but lost: {acknowledged:?}");
    let (counted, missing) = expected(stored);
    // What a death interrupted goes on, and is counted once.
    let now = time_of(first + 2 * LIFE);
    store.reattribute(now).await.unwrap();
    let orders = store.reattributions().await.unwrap();
    assert!(orders.iter().all(|one| one.finished.is_some()), "{orders:?}");
    let mut found = (0, Histogram::default());
    let end = time_of(stored.last().copied().unwrap_or(0)).plus(DAY);
    assert_missing(&store, end, &missing).await;
    for row in each(&store, everything(1, MIDNIGHT, end)).await.unwrap() {
        found.0 += row.totals.counters.scheduled;
        found.1.merge(&row.totals.histogram);
    }
    assert_eq!(found, counted);
    let sound = |path: &Path| {
        let verified = SqliteStore::verify(path, &mut |_done, _steps| {}).unwrap();
        assert_eq!(verified.told, Vec::<String>::new(), "{}", path.display());
    };
    sound(path);
    // A backup is there whole or not at all.
    let copy = directory.join("copy");
    if copy.exists() {
        sound(&paths::store(&copy));
        std::fs::remove_dir_all(copy).unwrap();
    }
    if let Some(&last) = stored.last() {
        let again = store.put(admitted(&caller(1, 1), batch_of(last), time_of(last + 1))).await.unwrap();
        assert_eq!(again, PutOutcome::Duplicate);
        assert_missing(&store, end, &missing).await;
    }
}

async fn killed_at_any_instant_it_loses_nothing_and_counts_nothing_twice(seed: u64) {
    let kills_wanted = std::env::var("PEERLIGHT_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    // In memory, where there is such a place: what a killed process wrote is there, synced or not.
    let temporary = tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap();
    let directory = temporary.path();
    Identity::open(directory).unwrap();
    Registry::open(&paths::registry(directory)).unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut stored = BTreeSet::new();
    let mut died_at = BTreeSet::new();
    let (mut kills, mut lives) = (0, 0_usize);
    while kills < kills_wanted {
        lives += 1;
        assert!(lives < kills_wanted * 2, "the child survives too often");
        // Every other life ends at a point, each in its turn.
        let name = CRASH_POINTS[lives / 2 % CRASH_POINTS.len()];
        let point = (lives % 2 == 0).then(|| format!("{name}:{}", random.random_range(1..3)));
        let first = stored.last().map_or(0, |last| last + 1);
        let patience = random.random_range(0..LIFE);
        let (acknowledged, killed) = life(directory, first, point.as_deref(), patience);
        if killed {
            kills += 1;
            died_at.extend(point.map(|_point| name));
        }
        check(directory, &acknowledged, &mut stored).await;
    }
    assert_eq!(died_at, BTreeSet::from(CRASH_POINTS), "it was killed at every point");
    println!("{kills} kills in {lives} lives, {} batches, each counted once", stored.len());
}

/// A thousand kills, in four tests that run beside one another.
mod seed {
    use super::killed_at_any_instant_it_loses_nothing_and_counts_nothing_twice as killed;

    #[tokio::test]
    async fn one() {
        killed(1).await;
    }

    #[tokio::test]
    async fn two() {
        killed(2).await;
    }

    #[tokio::test]
    async fn three() {
        killed(3).await;
    }

    #[tokio::test]
    async fn four() {
        killed(4).await;
    }
}
