//! What waits is read back, in order, until it is acknowledged; and what all of the spool's tests put in.

mod damaged;
mod drops;
mod model;
mod parts;

use super::{
    key::{SUFFIX, file_name},
    *,
};
use peerlight_proto::{
    codec::decode_batch,
    histogram::Histogram,
    limits,
    measurement::{Counters, Measurement},
    metric::Metric,
    series::{Clock, Family, Path as NetworkPath, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength},
};
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
