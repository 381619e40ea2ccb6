//! The power goes at each sync: what was acknowledged before is there, once, whatever became of what was not synced.
//!
//! One run of everything that a store does is recorded. For each sync in it, and for each of several fates of what was not
//! synced by then (see [`super::disk`]), the files that a cut would leave are made, opened, counted, verified, and sent
//! everything again. `PEERLIGHT_POWER_CUTS` sets how many fates are tried at each sync, in turn.

use super::{
    BETWEEN, KEPT, SqliteStore, assert_sound, begin_reattribution, counted,
    disk::{Disk, Fate},
    expected, ledgered, put, send_again, time_of,
    vfs::{Event, Recording},
};
use crate::{
    backup::back_up,
    identity::Identity,
    paths,
    registry::{Operator, Registry, Role},
    store::Store as _,
};
use futures::future::join_all;
use peerlight_proto::time::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// How many batches there are, how many at once, and how many in one life of the store.
const BATCHES: u64 = 96;
const AT_ONCE: u64 = 3;
const LIFE: u64 = 24;
/// How many fates are tried at each sync, unless more are asked for.
const FATES: usize = 2;
/// Every so many cuts the store goes on as a collector would, is sent everything again and verified once more.
const GOES_ON: usize = 4;

/// What whoever waited for the store was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    /// A batch is on its way.
    Sent(u64),
    Acknowledged(u64),
    /// A re-attribution was accepted.
    Ordered,
    /// The registry burnt this nonce.
    Burnt(u64),
    /// The registry made a token of this name.
    Token(String),
    BackedUp,
}

/// What was told, each fact with how many events had happened.
struct Told<'r> {
    recording: &'r Recording,
    facts: Vec<(usize, Fact)>,
}

impl Told<'_> {
    fn tell(&mut self, fact: Fact) {
        self.facts.push((self.recording.so_far(), fact));
    }
}

/// All that a store does, in several lives. Its log is emptied every few commits, so that it begins anew often.
async fn live(directory: &Path, told: &mut Told<'_>) {
    let registry = Registry::open(&paths::registry(directory)).unwrap();
    for first in (0..BATCHES).step_by(usize::try_from(LIFE).unwrap()) {
        let store = SqliteStore::open(&paths::store(directory)).unwrap();
        let often = |db: &mut rusqlite::Connection| db.pragma_update(None, "wal_autocheckpoint", 48);
        store.write("empty its log more often", often).await.unwrap();
        for group in (first..first + LIFE).step_by(usize::try_from(AT_ONCE).unwrap()) {
            let now = time_of(group + AT_ONCE);
            let numbers: Vec<u64> = (group..group + AT_ONCE).collect();
            for number in &numbers {
                told.tell(Fact::Sent(*number));
            }
            for outcome in join_all(numbers.iter().map(|number| put(&store, *number))).await {
                outcome.unwrap();
            }
            for number in &numbers {
                told.tell(Fact::Acknowledged(*number));
            }
            keep_registry(&registry, group, now, told);
            // The last of a life is left for the next one to go on with.
            match group / AT_ONCE % 4 {
                0 => drop(store.compact(now).await.unwrap()),
                1 => {
                    begin_reattribution(&store, now).await.unwrap();
                    told.tell(Fact::Ordered);
                    store.reattribute(now).await.unwrap();
                }
                2 => drop(store.expire(now, KEPT).await.unwrap()),
                _ => {}
            }
        }
        if first == LIFE {
            back_up(directory, &directory.with_file_name("copy"), &mut |_done, _of| {}).unwrap();
            told.tell(Fact::BackedUp);
        }
    }
}

fn keep_registry(registry: &Registry, number: u64, now: Timestamp, told: &mut Told<'_>) {
    assert!(registry.burn_nonce("test", &number.to_string(), now.plus(super::DAY * 365), now).unwrap());
    told.tell(Fact::Burnt(number));
    if number.is_multiple_of(4) {
        let name = format!("token-{number}");
        registry.create_operator_token(&name, Role::Reader, &Operator::local(), now).unwrap();
        told.tell(Fact::Token(name));
    }
}

/// What was true when the power went.
#[derive(Debug, Default)]
struct Before {
    sent: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    orders: usize,
    burnt: Vec<u64>,
    tokens: BTreeSet<String>,
}

impl Before {
    fn learn(&mut self, fact: &Fact) {
        match fact {
            Fact::Sent(number) => drop(self.sent.insert(*number)),
            Fact::Acknowledged(number) => drop(self.acknowledged.insert(*number)),
            Fact::Ordered => self.orders += 1,
            Fact::Burnt(number) => self.burnt.push(*number),
            Fact::Token(name) => drop(self.tokens.insert(name.clone())),
            Fact::BackedUp => {}
        }
    }
}

/// Writes what was found to a directory of its own.
fn restore(found: &BTreeMap<PathBuf, Vec<u8>>, recorded: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    for (name, bytes) in found {
        let place = to.join(name.strip_prefix(recorded).unwrap());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
    std::fs::create_dir_all(to.join("live")).unwrap();
}

/// Opens what the cut left, and counts it; if it goes on, also what comes after.
async fn check(directory: &Path, before: &Before, goes_on: bool) {
    let path = &paths::store(directory);
    let store = SqliteStore::open(path).unwrap();
    let sent = before.sent.last().map_or(0, |last| last + 1);
    let mut there = ledgered(&store, sent).await;
    // Expired entries are known by what is counted.
    there.extend(before.acknowledged.iter().filter(|number| is_expired(**number, &before.acknowledged)));
    assert!(before.acknowledged.is_subset(&there), "acknowledged but lost: {before:?}, there are {there:?}");
    assert_eq!(counted(&store).await, expected(there.iter().copied()));
    assert_sound(path);
    check_registry(directory, before);
    if goes_on {
        go_on(&store, path, before, &there).await;
    }
}

/// What the cut interrupted goes on, and everything comes again.
async fn go_on(store: &SqliteStore, path: &Path, before: &Before, there: &BTreeSet<u64>) {
    let sent = before.sent.last().map_or(0, |last| last + 1);
    let now = time_of(sent + 1);
    store.reattribute(now).await.unwrap();
    let orders = store.reattributions().await.unwrap();
    assert!(orders.len() >= before.orders && orders.iter().all(|one| one.finished.is_some()), "{orders:?}");
    store.compact(now).await.unwrap();
    assert_eq!(counted(store).await, expected(there.iter().copied()));
    send_again(store, sent, there).await;
    store.expire(now, KEPT).await.unwrap();
    assert_eq!(counted(store).await, expected(0..sent), "in the end each counts once");
    assert_sound(path);
}

fn check_registry(directory: &Path, before: &Before) {
    let now = time_of(0);
    let registry = Registry::open(&paths::registry(directory)).unwrap();
    let tokens: BTreeSet<String> = registry
        .operator_tokens(Operator::local().organisation)
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert!(before.tokens.is_subset(&tokens), "{before:?} {tokens:?}");
    if let Some(number) = before.burnt.last() {
        assert!(
            !registry.burn_nonce("test", &number.to_string(), now.plus(super::DAY), now).unwrap(),
            "burnt once"
        );
    }
}

/// Whether the ledger's entry may have gone by the time that the newest batch was acknowledged.
fn is_expired(number: u64, acknowledged: &BTreeSet<u64>) -> bool {
    let horizon = KEPT.acceptance_horizon.saturating_add(crate::store::LEDGER_MARGIN);
    acknowledged.last().is_some_and(|last| time_of(number + 1) < time_of(*last + 2).minus(horizon))
}

#[tokio::test]
async fn a_power_cut_at_any_sync_loses_nothing_acknowledged_and_counts_nothing_twice() {
    let fates = std::env::var("PEERLIGHT_POWER_CUTS").map_or(FATES, |fates| fates.parse().unwrap());
    let temporary = tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap();
    let root = temporary.path().canonicalize().unwrap();
    let (recorded, image) = (root.join("recorded"), root.join("image"));
    let live_directory = recorded.join("live");
    std::fs::create_dir_all(&live_directory).unwrap();
    Identity::open(&live_directory).unwrap();
    let recording = Recording::of(&recorded);
    let mut told = Told { recording: &recording, facts: Vec::new() };
    live(&live_directory, &mut told).await;
    let (facts, events) = (told.facts, recording.finish());

    let mut random = StdRng::seed_from_u64(20_261_130);
    let (mut disk, mut before) = (Disk::default(), Before::default());
    let (mut facts, mut syncs, mut cuts) = (facts.into_iter().peekable(), 0, 0_usize);
    for (number, event) in events.iter().enumerate() {
        while let Some((_, fact)) = facts.next_if(|(at, _)| *at <= number) {
            before.learn(&fact);
            if fact == Fact::BackedUp {
                restore(&disk.after_the_cut(Fate::Lost), &recorded, &image);
                check_backup(&image.join("copy.partial"), &before).await;
            }
        }
        if matches!(event, Event::Synced(_)) {
            syncs += 1;
            for _fate in 0..fates {
                let fate = match cuts % 5 {
                    0 => Fate::Lost,
                    1 => Fate::Kept,
                    2 => Fate::Torn(&mut random),
                    3 => Fate::Prefix(&mut random),
                    _ => Fate::Scattered(&mut random),
                };
                restore(&disk.after_the_cut(fate), &recorded, &image);
                // Whatever is in the log's index, which no cut leaves in order, is not believed.
                let index = paths::store(&image.join("live")).with_extension("sqlite-shm");
                std::fs::write(index, random.random::<[u8; 32]>().repeat(1_024)).unwrap();
                check(&image.join("live"), &before, cuts % GOES_ON == 0).await;
                cuts += 1;
            }
        }
        disk.take(event);
    }
    println!(
        "{cuts} cuts at {syncs} syncs of {} events, {BATCHES} batches {BETWEEN} minutes apart",
        events.len()
    );
    assert!(syncs > 200, "{syncs} syncs");
}

/// A backup's databases are on disk before its directory gets its name.
async fn check_backup(directory: &Path, before: &Before) {
    assert_sound(&paths::store(directory));
    let store = SqliteStore::open(&paths::store(directory)).unwrap();
    assert_eq!(counted(&store).await, expected(before.acknowledged.iter().copied()));
    Registry::open(&paths::registry(directory)).unwrap().check().unwrap();
}

/// The model finds what a store would lose that acknowledged before its log was synced.
#[tokio::test]
async fn a_store_that_did_not_wait_for_the_disk_would_be_found_out() {
    let temporary = tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap();
    let root = temporary.path().canonicalize().unwrap();
    let (recorded, image) = (root.join("recorded"), root.join("image"));
    std::fs::create_dir_all(recorded.join("live")).unwrap();
    let recording = Recording::of(&recorded);
    let store = SqliteStore::open(&paths::store(&recorded.join("live"))).unwrap();
    let careless = |db: &mut rusqlite::Connection| db.pragma_update(None, "synchronous", "NORMAL");
    store.write("be careless", careless).await.unwrap();
    for number in 0..3 {
        put(&store, number).await.unwrap();
    }
    let events = recording.finish();
    drop(store);
    let mut disk = Disk::default();
    for event in &events {
        disk.take(event);
    }
    restore(&disk.after_the_cut(Fate::Lost), &recorded, &image);
    let store = SqliteStore::open(&paths::store(&image.join("live"))).unwrap();
    assert_eq!(ledgered(&store, 3).await, BTreeSet::new(), "all three were acknowledged");
}
