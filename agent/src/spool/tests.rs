//! The spool against a model, with crashes and damage.

use super::{given_up::Going, key::SUFFIX, *};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use peerlight_proto::{
    codec::decode_batch,
    histogram::Histogram,
    measurement::{Counters, Measurement},
    metric::Metric,
    series::{Clock, Family, Path as NetworkPath, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, fs};
use tempfile::TempDir;

const AGENT: AgentId = AgentId::new([1; 16]);
const SESSION: SessionId = SessionId::new([2; 16]);
const START: i64 = 1_800_000_000;
const CREATED: Timestamp = Timestamp::from_secs(START);

/// A draft of `count` measurements over the one-second interval `second` seconds after the start.
pub(crate) fn draft(second: i64, count: u64) -> Draft {
    let target = Target {
        name: "a".to_owned(),
        service: String::new(),
        address: "a.example.com".parse().unwrap(),
        probe: "icmp".parse().unwrap(),
    };
    let mut draft = Draft::default();
    for index in 0..count {
        let key = SeriesKey {
            uplink: format!("site-{index}").into(),
            target: target.id(),
            metric: Metric::IcmpRtt,
            family: Family::V4,
            path: NetworkPath::Direct,
            clock: Clock::Kernel,
            http_version: None,
            handshake: None,
        };
        draft.series.push(Series { key, target: target.clone().into(), probe_interval_ms: 1_000 });
        draft.measurements.push(Measurement {
            series: u32::try_from(index).unwrap(),
            interval: Interval::starting(START + second, IntervalLength::from_secs(1).unwrap()).unwrap(),
            counters: Counters { scheduled: 1, answered: 1, ..Counters::default() },
            histogram: Histogram::from_values([index * 100]),
            attributes: vec![],
            observed: None,
        });
    }
    draft
}

fn open(directory: &TempDir, settings: SpoolSettings) -> Spool {
    let mut spool = Spool::open(directory.path(), AGENT, settings).unwrap();
    spool.begin_session(SESSION);
    spool
}

fn append(spool: &mut Spool, second: i64) -> Key {
    spool.append(draft(second, 2), CREATED, None).unwrap()[0]
}

fn listing(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(SUFFIX))
        .collect()
}

#[test]
fn what_was_written_is_read_back_by_the_next_process_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let key = append(&mut spool, 7);
    let before = spool.read(key).unwrap().unwrap();
    drop(spool);
    let mut spool = open(&directory, SpoolSettings::default());
    assert_eq!(spool.next(), Some(key));
    let after = spool.read(key).unwrap().unwrap();
    assert_eq!(before, after);
    assert_eq!(after.digest, BatchDigest::of(&after.bytes));
    let batch = decode_batch(&after.bytes).unwrap().batch;
    assert_eq!((batch.number, batch.measurements), (after.number, draft(7, 2).measurements));
}

#[test]
fn a_spool_has_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let owner = open(&directory, SpoolSettings::default());
    let refused = Spool::open(directory.path(), AGENT, SpoolSettings::default()).unwrap_err();
    assert!(refused.to_string().contains("in use by another peerlight-agent"), "{refused}");
    drop(owner);
    open(&directory, SpoolSettings::default());
}

#[test]
fn the_newest_interval_goes_first_then_the_backlog_oldest_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    for second in 0..4 {
        append(&mut spool, second);
    }
    let mut order = Vec::new();
    while let Some(key) = spool.next() {
        order.push(key.newest_end.as_secs() - START - 1);
        spool.acknowledge(key, 0, None, CREATED).unwrap();
        if order.len() == 2 {
            append(&mut spool, 9);
        }
    }
    assert_eq!(order, [3, 0, 9, 1, 2]);
}

#[test]
fn the_oldest_batches_are_dropped_and_counted_when_a_bound_is_reached() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let length = {
        append(&mut spool, 0);
        spool.counts().bytes
    };
    drop(spool);
    let settings = SpoolSettings { max_bytes: length * 7 / 2, max_age: Duration::from_mins(1) };
    let mut spool = open(&directory, settings);
    spool.begin_session(SessionId::new([3; 16]));
    for second in 1..10 {
        append(&mut spool, second);
    }
    // Batches grow a little once they tell of those that went before.
    let Counts { batches, bytes, dropped, .. } = spool.counts();
    assert!((2..=3).contains(&batches) && bytes <= settings.max_bytes, "{batches} batches of {bytes} bytes");
    assert_eq!(batches + dropped, 10);
    let kept: Vec<_> = spool.keys().map(|key| (key.newest_end.as_secs() - START).unsigned_abs()).collect();
    assert_eq!(kept, (11 - batches..11).collect::<Vec<_>>());
    spool.expire(Timestamp::from_secs(START + 70)).unwrap();
    assert_eq!((spool.counts().batches, spool.counts().dropped), (1, 9));
}

#[test]
fn no_bound_drops_the_batch_that_is_being_pushed() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings { max_bytes: 1, max_age: Duration::from_mins(1) });
    let settings = std::mem::take(&mut spool.settings);
    let keys = [1, 2, 3].map(|second| append(&mut spool, second));
    spool.settings = settings;
    spool.pushes(keys[0]);
    spool.keep_within_bytes().unwrap();
    spool.expire(Timestamp::from_secs(START + 3_600)).unwrap();
    assert_eq!((spool.keys().collect::<Vec<_>>(), spool.counts().dropped), (vec![keys[0]], 2));
    spool.acknowledge(keys[0], 0, None, CREATED).unwrap();
    assert_eq!((spool.counts().batches, spool.counts().acknowledged), (0, 1));
}

#[test]
fn what_was_given_up_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = [1, 2, 3, 4].map(|second| append(&mut spool, second));
    damage(&spool.directory.batch(keys[0]), 0, true);
    assert_eq!(spool.read(keys[0]).unwrap(), None);
    spool.reject(keys[1], DropReason::Rejected).unwrap();
    spool.acknowledge(keys[2], 5, None, CREATED).unwrap();
    spool.expire(Timestamp::from_secs(START).plus(SpoolSettings::DEFAULT_MAX_AGE * 2)).unwrap();
    let given_up = |counts: Counts| {
        (counts.dropped, counts.corrupt, counts.rejected, counts.refused_measurements, counts.batches)
    };
    assert_eq!(given_up(spool.counts()), (1, 1, 1, 5, 0));
    drop(spool);
    assert_eq!(given_up(open(&directory, SpoolSettings::default()).counts()), (1, 1, 1, 5, 0));
}

/// What a spool tells the collector: uplink, reason, measurements, turns and unread batches of each entry, in order.
fn told(spool: &Spool) -> Vec<(String, DropReason, u64, u64, u64)> {
    let entries = spool.given_up.account.part().map(|account| account.entries).unwrap_or_default();
    let row = |entry: DropEntry| {
        (entry.uplink, entry.reason, entry.measurements, entry.turns, entry.unread_batches)
    };
    let mut rows: Vec<_> = entries.into_iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn the_next_batch_tells_what_was_dropped_until_the_collector_has_signed_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = [1, 2, 3].map(|second| append(&mut spool, second));
    spool.reject(keys[0], DropReason::RejectedTooOld).unwrap();
    spool.set_too_large_aside(keys[1]).unwrap();
    damage(&spool.directory.batch(keys[2]), 0, true);
    assert_eq!(spool.read(keys[2]).unwrap(), None);
    let key = append(&mut spool, 4);
    let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
    let account = batch.health.dropped.unwrap();
    let of = |uplink: &str, reason, measurements, unread| {
        (uplink.to_owned(), reason, measurements, measurements, unread)
    };
    let expected = [
        of("", DropReason::Corrupt, 0, 1),
        of("site-0", DropReason::TooLarge, 1, 0),
        of("site-0", DropReason::RejectedTooOld, 1, 0),
        of("site-1", DropReason::TooLarge, 1, 0),
        of("site-1", DropReason::RejectedTooOld, 1, 0),
    ];
    assert_eq!(told(&spool), expected);
    let seconds: Vec<_> = account.entries.iter().map(|entry| entry.first.as_secs() - START).collect();
    assert_eq!(seconds, [1, 1, 2, 2, 0], "and when it was measured");
    drop(spool);
    let mut spool = open(&directory, SpoolSettings::default());
    assert_eq!(told(&spool), expected, "a restart forgets nothing");
    spool.acknowledge(key, 0, Some(account.signed()), CREATED).unwrap();
    assert_eq!(told(&spool), []);
    assert_eq!(spool.counts().lost_measurements, 4);
}

#[test]
fn a_batch_that_was_counted_before_a_crash_goes_after_it_and_is_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = [1, 2].map(|second| append(&mut spool, second));
    let held = spool.held(keys[0], DropReason::SpoolFull);
    // The process ends between the count and the deed.
    let going = vec![Going { name: file_name(keys[0]), apart: None }];
    spool
        .give_up(
            |counts| {
                counts.dropped += 1;
                held
            },
            going,
        )
        .unwrap();
    drop(spool);
    let mut spool = open(&directory, SpoolSettings::default());
    assert_eq!((spool.keys().collect::<Vec<_>>(), spool.counts().dropped), (vec![keys[1]], 1));
    assert_eq!(listing(directory.path()), [file_name(keys[1])].into());
    spool.reject(keys[1], DropReason::Rejected).unwrap();
    assert_eq!(spool.counts().lost_measurements, 4);
    assert_eq!(told(&spool).len(), 4, "two uplinks and two reasons");
}

#[cfg(unix)]
#[test]
fn what_the_disk_does_not_take_is_told_as_soon_as_it_takes_something() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let key = Key { newest_end: Timestamp::from_secs(START + 2), session: SESSION, sequence: 0 };
    // A directory in the batch's place refuses it, to root as well.
    fs::create_dir(spool.directory.batch(key)).unwrap();
    assert!(spool.append(draft(1, 3), CREATED, None).is_err());
    assert_eq!(spool.counts().lost_measurements, 0, "not durable yet");
    append(&mut spool, 2);
    assert_eq!(spool.counts().lost_measurements, 3);
    let told: Vec<_> = told(&spool).into_iter().map(|row| (row.1, row.2)).collect();
    assert_eq!(told, [(DropReason::Unwritable, 1); 3]);
}

#[test]
fn damaged_batches_are_kept_up_to_a_bound() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    for second in 1..=3 {
        let key = append(&mut spool, second);
        fs::write(spool.directory.batch(key), vec![0; 7 << 20]).unwrap();
        assert_eq!(spool.read(key).unwrap(), None);
    }
    let kept = listing(&directory.path().join("corrupt"));
    assert_eq!(kept.len(), 2, "the newest: {kept:?}");
    assert_eq!(spool.counts().corrupt, 3);
}

#[test]
fn a_foreign_or_misnamed_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let (a, b) = (append(&mut spool, 1), append(&mut spool, 2));
    fs::copy(spool.directory.batch(a), spool.directory.batch(b)).unwrap();
    assert_eq!(spool.read(b).unwrap(), None);
    assert_eq!((spool.counts().corrupt, spool.counts().batches), (1, 1));
    assert_eq!(listing(&directory.path().join("corrupt")).len(), 1);
    assert!(spool.read(a).unwrap().is_some());
}

#[test]
fn a_split_names_its_parent_and_keeps_every_measurement() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let key = spool.append(draft(1, 5), CREATED, Some(42)).unwrap()[0];
    let parent = spool.read(key).unwrap().unwrap();
    assert!(spool.split(&parent, CREATED).unwrap());
    assert_eq!(listing(directory.path()).len(), 2);
    let mut uplinks = BTreeSet::new();
    for (index, key) in (0..).zip(spool.keys().collect::<Vec<_>>()) {
        let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
        let part = batch.part.unwrap();
        assert_eq!((part.session, part.sequence, part.digest), (SESSION, 0, parent.digest));
        assert_eq!((part.index, part.count, batch.clock_offset_us), (index, 2, Some(42)));
        uplinks.extend(batch.measurements.iter().map(|m| batch.series[m.series as usize].key.uplink.clone()));
    }
    assert_eq!(uplinks.len(), 5);
    let single = spool.append(draft(2, 1), CREATED, None).unwrap()[0];
    let single = spool.read(single).unwrap().unwrap();
    assert!(!spool.split(&single, CREATED).unwrap(), "one measurement cannot be split");
}

#[test]
fn a_batch_that_is_too_large_for_one_push_is_spooled_as_two() {
    let mut large = draft(1, 4_000);
    for (number, series) in (0_u16..).zip(&mut large.series) {
        // Texts that do not compress below their 192 bytes.
        let text = |field: u8| {
            let digest =
                |part: u8| *BatchDigest::of(&[number.to_le_bytes(), [field, part]].concat()).as_bytes();
            STANDARD.encode([0, 1, 2, 3, 4, 5].map(digest).concat())
        };
        series.key.uplink = text(0).into();
        std::sync::Arc::make_mut(&mut series.target).name = text(1);
    }
    let expected: BTreeSet<_> = large.series.iter().map(|series| series.key.uplink.clone()).collect();
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = spool.append(large, CREATED, None).unwrap();
    assert_eq!(keys.len(), 2);
    let mut uplinks = BTreeSet::new();
    for key in keys {
        let waiting = spool.read(key).unwrap().unwrap();
        assert!(waiting.bytes.len() <= limits::MAX_BODY_BYTES);
        let batch = decode_batch(&waiting.bytes).unwrap().batch;
        assert_eq!((batch.part, batch.measurements.len()), (None, 2_000));
        uplinks.extend(batch.measurements.iter().map(|m| batch.series[m.series as usize].key.uplink.clone()));
    }
    assert_eq!(uplinks, expected, "each measurement once, with its own series");
}

#[test]
fn a_batch_torn_at_any_byte_is_set_aside_and_costs_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let (torn, whole) = (append(&mut spool, 1), append(&mut spool, 2));
    let file = fs::read(spool.directory.batch(torn)).unwrap();
    drop(spool);
    for (corrupt, length) in (1..).zip(0..file.len()) {
        fs::write(directory.path().join(file_name(torn)), &file[..length]).unwrap();
        let mut spool = open(&directory, SpoolSettings::default());
        assert_eq!(spool.read(torn).unwrap(), None, "torn at byte {length}");
        assert_eq!(spool.counts().corrupt, corrupt);
        assert_eq!(spool.next(), Some(whole));
        assert!(spool.read(whole).unwrap().is_some());
    }
}

#[test]
fn what_a_crash_left_half_written_does_not_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let key = append(&mut spool, 1);
    drop(spool);
    let half_written = directory.path().join(".new-AbCdEf");
    fs::write(&half_written, b"PLSPOOL").unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    assert!(!half_written.exists() && spool.read(key).unwrap().is_some());
}

#[test]
fn a_crash_within_a_split_leaves_the_parent_or_all_parts() {
    for committed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = open(&directory, SpoolSettings::default());
        let key = spool.append(draft(1, 4), CREATED, None).unwrap()[0];
        let parent = file_name(key);
        let parts: Vec<String> = (7..9).map(|sequence| file_name(Key { sequence, ..key })).collect();
        drop(spool);
        let at = |name: String| directory.path().join(name);
        for part in &parts {
            fs::copy(at(parent.clone()), at(format!("{parent}+{part}.pending"))).unwrap();
        }
        if committed {
            fs::rename(at(parent.clone()), at(format!("{parent}.split"))).unwrap();
        }
        drop(open(&directory, SpoolSettings::default()));
        let expected = if committed { parts } else { vec![parent] };
        assert_eq!(listing(directory.path()), expected.into_iter().collect());
        let files =
            fs::read_dir(directory.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file());
        assert_eq!(files.count(), if committed { 3 } else { 2 }, "batches and the lock");
    }
}

#[test]
fn acknowledged_batches_can_be_sent_again_for_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    for second in 0..3 {
        let key = append(&mut spool, second);
        spool.acknowledge(key, 1, None, Timestamp::from_secs(START + second * 3_600)).unwrap();
    }
    assert_eq!(
        (spool.counts().acknowledged, spool.counts().refused_measurements, spool.next()),
        (3, 3, None)
    );
    spool.prune_acknowledged(Timestamp::from_secs(START + 25 * 3_600)).unwrap();
    assert_eq!(spool.resend(Timestamp::from_secs(START + 2 * 3_600)).unwrap(), 1);
    assert_eq!(spool.resend(Timestamp::from_secs(START)).unwrap(), 1, "the first is past its day");
    assert_eq!(spool.counts().batches, 2);
    let key = spool.next().unwrap();
    assert!(spool.read(key).unwrap().is_some());
}

/// What is done to a spool.
#[derive(Debug, Clone)]
enum Action {
    Append(u8),
    AcknowledgeNext,
    RejectOldest,
    Restart,
    /// The oldest file is cut at this share of its length, as a torn write or a bad disk would.
    Truncate(u16),
    /// One bit of the oldest file flips.
    Flip(u16),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0_u8..20).prop_map(Action::Append),
        3 => Just(Action::AcknowledgeNext),
        1 => Just(Action::RejectOldest),
        2 => Just(Action::Restart),
        1 => any::<u16>().prop_map(Action::Truncate),
        1 => any::<u16>().prop_map(Action::Flip),
    ]
}

fn damage(path: &Path, at: u16, flip: bool) {
    let mut file = fs::read(path).unwrap();
    let place = file.len() * usize::from(at) / (usize::from(u16::MAX) + 1);
    if flip {
        file[place] ^= 1 << (at % 8);
    } else {
        file.truncate(place);
    }
    fs::write(path, file).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The spool equals a sorted list; restarts change nothing, damage costs the damaged file alone.
    #[test]
    fn the_spool_equals_a_model_under_restarts_and_damage(actions in prop::collection::vec(action(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Some(open(&directory, SpoolSettings::default()));
        let mut model: BTreeMap<Key, bool> = BTreeMap::new();
        let (mut corrupt, mut rejected) = (0, 0);
        let mut runs = 2_u8;
        for action in actions {
            let live = spool.as_mut().unwrap();
            match action {
                Action::Append(second) => {
                    model.insert(append(live, i64::from(second)), true);
                }
                Action::AcknowledgeNext => {
                    while let Some(key) = live.next() {
                        let whole = model.remove(&key).unwrap();
                        let read = live.read(key).unwrap();
                        prop_assert_eq!(read.is_some(), whole);
                        if whole {
                            live.acknowledge(key, 0, None, CREATED).unwrap();
                            break;
                        }
                        corrupt += 1;
                    }
                }
                Action::RejectOldest => {
                    if let Some((key, whole)) = model.pop_first() {
                        live.reject(key, DropReason::Rejected).unwrap();
                        rejected += 2 * u64::from(whole);
                    }
                }
                Action::Restart => {
                    drop(spool.take());
                    let mut reopened = open(&directory, SpoolSettings::default());
                    runs += 1;
                    reopened.begin_session(SessionId::new([runs; 16]));
                    spool = Some(reopened);
                }
                Action::Truncate(at) | Action::Flip(at) => {
                    if let Some((key, whole)) = model.first_key_value() && *whole {
                        let key = *key;
                        damage(&live.directory.batch(key), at, matches!(action, Action::Flip(_)));
                        model.insert(key, false);
                    }
                }
            }
            let live = spool.as_ref().unwrap();
            prop_assert_eq!(live.keys().collect::<Vec<_>>(), model.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(live.counts().batches, model.len() as u64);
            prop_assert_eq!(live.counts().corrupt, corrupt);
            let told: Vec<_> = told(live);
            prop_assert_eq!(told.iter().map(|row| row.2).sum::<u64>(), rejected);
            prop_assert_eq!(live.counts().lost_measurements, rejected);
        }
    }
}
