//! The identity of counters, and what closing an interval promises.

use super::*;
use crate::{
    sample::{Outcome, Reading},
    schedule::Entry,
};
use peerlight_proto::{
    measurement::Ending,
    metric::{Metric, NetworkMetric},
    series::{Clock, Path},
    target::Target,
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(3);

fn aggregate(seconds: u32) -> Aggregate {
    Aggregate::new(IntervalLength::from_secs(seconds).unwrap(), DEADLINE)
}

fn entry() -> Arc<Entry> {
    let target = Target {
        name: "a".to_owned(),
        service: String::new(),
        address: "a.example.com".parse().unwrap(),
        probe: "icmp".parse().unwrap(),
    };
    Arc::new(Entry::new(target, Family::V4, SECOND))
}

fn turn(entry: &Arc<Entry>, scheduled: Timestamp) -> Turn {
    Turn { entry: Arc::clone(entry), scheduled, due: scheduled }
}

fn sample(outcome: Outcome) -> Sample {
    #[expect(clippy::disallowed_methods, reason = "any instant: the probe left when it was meant to")]
    let at = Instant::now();
    Sample {
        family: Family::V4,
        path: Path::Direct,
        address: Some(IpAddr::from([192, 0, 2, 1])),
        readings: vec![Reading {
            metric: Metric::IcmpRtt,
            clock: Clock::Kernel,
            outcome,
            http_version: None,
            handshake: None,
        }],
        attributes: vec![],
    }
    .left(at, at)
}

fn answered(latency_us: u64) -> Sample {
    let latency = Duration::from_micros(latency_us);
    sample(Outcome::Answered { latency, user_latency: latency })
}

fn row(closed: &ClosedInterval, metric: &str) -> Row {
    let metric: Metric = metric.parse().unwrap();
    closed.rows.iter().find(|row| row.series.key.metric == metric).unwrap().clone()
}

#[test]
fn an_interval_closes_at_its_end_plus_the_deadline_and_bears_the_observed_address() {
    let (mut aggregate, entry) = (aggregate(10), entry());
    for second in 0..10_u32 {
        let id = aggregate.begin(&turn(&entry, START.plus(SECOND * second)));
        assert!(aggregate.end(id, Some(answered(1_000 + u64::from(second) * 10))));
    }
    let observed = BTreeMap::from([(Family::V4, (IpAddr::from([192, 0, 2, 9]), START))]);
    let around = Surroundings { uplinks: vec![Outside { uplink: "london-1".into(), observed }] };
    assert_eq!(aggregate.next_close(), Some(START.plus(SECOND * 13)));
    assert!(aggregate.close(START.plus(SECOND * 13).minus(Duration::from_micros(1)), &around).is_empty());
    let closed = aggregate.close(START.plus(SECOND * 13), &around);
    assert_eq!(closed.len(), 1);
    let rtt = row(&closed[0], "icmp.rtt");
    assert_eq!((rtt.counters.answered, rtt.histogram.count(), rtt.histogram.max_us()), (10, 10, Some(1_090)));
    assert_eq!(rtt.attributes, [Attribute { kind: "address".into(), value: "192.0.2.1".into(), count: 10 }]);
    assert_eq!(rtt.observed, Some(Observed { address: [192, 0, 2, 9].into(), age_seconds: 10 }));
    assert_eq!(&*rtt.series.key.uplink, "london-1");
    let jitter = row(&closed[0], "icmp.rtt.jitter");
    assert_eq!((jitter.counters.answered, jitter.counters.skipped), (9, 1), "the first has no neighbour");
    assert_eq!((jitter.histogram.min_us(), jitter.histogram.max_us()), (Some(10), Some(10)));
}

#[test]
fn what_the_open_interval_holds_stays_when_its_target_is_assigned_no_more() {
    let (mut aggregate, entry) = (aggregate(10), entry());
    let landed = aggregate.begin(&turn(&entry, START));
    assert!(aggregate.end(landed, Some(answered(1_000))));
    let flying = aggregate.begin(&turn(&entry, START.plus(SECOND)));
    aggregate.retain_lanes(|_key| false);
    assert!(aggregate.end(flying, Some(answered(2_000))));
    aggregate.retain_lanes(|_key| false);
    let closed = aggregate.close(START.plus(Duration::from_secs(13)), &Surroundings::default());
    let row = row(&closed[0], "icmp.rtt");
    assert_eq!((row.counters.scheduled, row.counters.answered), (2, 2));
    assert_eq!((row.histogram.min_us(), row.histogram.max_us()), (Some(1_000), Some(2_000)));
}

#[test]
fn jitter_compares_neighbours_in_order_and_never_across_a_loss() {
    let (mut aggregate, entry) = (aggregate(10), entry());
    let ids: Vec<_> =
        (0..5_u32).map(|second| aggregate.begin(&turn(&entry, START.plus(SECOND * second)))).collect();
    // Out of order; the third is lost.
    let latencies = [1_000, 1_300, 0, 5_000, 5_100];
    for index in [4, 1, 3, 0] {
        aggregate.end(ids[index], Some(answered(latencies[index])));
    }
    aggregate.end(ids[2], Some(sample(Outcome::Failed(Ending::Lost))));
    let closed = aggregate.close(START.plus(SECOND * 20), &Surroundings::default());
    let jitter = row(&closed[0], "icmp.rtt.jitter");
    assert_eq!(jitter.histogram, Histogram::from_values([300, 100]));
    assert_eq!((jitter.counters.lost, jitter.counters.skipped), (1, 2));
}

#[test]
fn a_sample_for_a_closed_interval_is_counted_as_stale_and_never_folded() {
    let (mut aggregate, entry) = (aggregate(1), entry());
    let id = aggregate.begin(&turn(&entry, START));
    let due = START.plus(SECOND + DEADLINE);
    assert!(aggregate.close(due, &Surroundings::default()).is_empty(), "a turn is open: the grace runs");
    assert_eq!(aggregate.next_close(), Some(due.plus(GRACE)));
    let closed = aggregate.close(due.plus(GRACE), &Surroundings::default());
    assert_eq!(row(&closed[0], "icmp.rtt").counters.voided, 1);
    assert!(!aggregate.end(id, Some(answered(1))));
    assert_eq!((aggregate.stale(), aggregate.in_flight()), (1, 0));
    assert_eq!(aggregate.close_all(&Surroundings::default()), []);
}

#[test]
fn a_kernel_time_longer_than_we_waited_voids_the_probe() {
    let (mut aggregate, entry) = (aggregate(1), entry());
    let id = aggregate.begin(&turn(&entry, START));
    let hour = Outcome::Answered { latency: Duration::from_hours(1), user_latency: Duration::from_millis(9) };
    aggregate.end(id, Some(sample(hour)));
    let closed = aggregate.close_all(&Surroundings::default());
    let rtt = row(&closed[0], "icmp.rtt");
    assert_eq!((rtt.counters.voided, rtt.histogram.count()), (1, 0));
}

#[test]
fn a_target_without_an_address_of_the_family_has_no_series() {
    let (mut aggregate, entry) = (aggregate(1), entry());
    let id = aggregate.begin(&turn(&entry, START));
    aggregate.end(id, None);
    aggregate.skip(&Missed { entry, first: START.plus(SECOND), count: 3 });
    assert_eq!(aggregate.close_all(&Surroundings::default()), []);
}

#[test]
fn a_stray_is_counted_outside_the_identity() {
    let (mut aggregate, entry) = (aggregate(10), entry());
    let id = aggregate.begin(&turn(&entry, START));
    aggregate.end(id, Some(answered(5)));
    for duplicate in [true, false, true] {
        let stray = Stray { target: entry.id, metric: Metric::IcmpRtt, family: Family::V4, duplicate };
        aggregate.stray(UplinkNumber::default(), stray, START.plus(SECOND));
    }
    let closed = aggregate.close_all(&Surroundings::default());
    let counters = row(&closed[0], "icmp.rtt").counters;
    assert_eq!((counters.scheduled, counters.duplicate, counters.foreign), (1, 2, 1));
}

/// One step of a script.
#[derive(Debug, Clone)]
enum Step {
    /// A turn whose sample comes after `delay` turns, if it comes.
    Probe { outcome: usize, latency_us: u64, delay: u8 },
    /// Turns are missed.
    Miss(u8),
    /// A reply too many.
    Stray(bool),
    /// The session ends: a clock step or a suspend.
    Discontinuity,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0_usize..12, 0_u64..200_000_000, 0_u8..12)
            .prop_map(|(outcome, latency_us, delay)| Step::Probe { outcome, latency_us, delay }),
        2 => (1_u8..30).prop_map(Step::Miss),
        2 => any::<bool>().prop_map(Step::Stray),
        1 => Just(Step::Discontinuity),
    ]
}

fn outcome(kind: usize, latency_us: u64) -> Outcome {
    let latency = Duration::from_micros(latency_us);
    let failures = [
        Ending::Skipped,
        Ending::Voided,
        Ending::DnsFailed,
        Ending::SendFailed,
        Ending::Retransmitted,
        Ending::Late,
        Ending::Lost,
        Ending::Refused,
        Ending::Answered,
    ];
    match failures.get(kind) {
        Some(ending) => Outcome::Failed(*ending),
        // Every third answer bears a kernel time that a clock step spoilt.
        None if kind == 11 => Outcome::Answered { latency: latency + SECOND, user_latency: latency },
        None => Outcome::Answered { latency, user_latency: latency },
    }
}

proptest! {
    /// Whatever the network and the clocks do: each turn is in exactly one counter of each series, no interval is
    /// emitted twice in a session, and no time is one that was not measured.
    #[test]
    fn the_identity_of_counters_holds_under_any_script(
        script in prop::collection::vec(step(), 1..150),
        seconds in prop::sample::select(vec![1_u32, 5, 10]),
    ) {
        let (mut aggregate, entry) = (aggregate(seconds), entry());
        let around = Surroundings::default();
        let mut now = START;
        let mut awaited: Vec<(u32, TurnId, Outcome)> = Vec::new();
        let (mut turns, mut answers) = (0_u64, BTreeSet::new());
        let mut sessions: Vec<Vec<ClosedInterval>> = vec![Vec::new()];
        let mut uncounted = 0;
        for (round, step) in (0_u32..).zip(script) {
            match step {
                Step::Probe { outcome: kind, latency_us, delay } => {
                    let outcome = outcome(kind, latency_us);
                    if let Outcome::Answered { latency, user_latency } = outcome && latency == user_latency {
                        answers.insert(latency_us.min(60_000_000));
                    }
                    let id = aggregate.begin(&turn(&entry, now));
                    awaited.push((round + u32::from(delay), id, outcome));
                    turns += 1;
                    now = now.plus(SECOND);
                }
                Step::Miss(count) => {
                    let missed = Missed { entry: Arc::clone(&entry), first: now, count: u64::from(count) };
                    uncounted += aggregate.skip(&missed);
                    turns += u64::from(count);
                    now = now.plus(SECOND * u32::from(count));
                }
                Step::Stray(duplicate) => {
                    let stray = Stray { target: entry.id, metric: Metric::IcmpRtt, family: Family::V4, duplicate };
                    aggregate.stray(UplinkNumber::default(), stray, now);
                }
                Step::Discontinuity => {
                    sessions.last_mut().unwrap().extend(aggregate.close_all(&around));
                    prop_assert_eq!(aggregate.in_flight(), 0);
                    sessions.push(Vec::new());
                    now = START;
                }
            }
            let (come, waiting) = awaited.into_iter().partition(|&(due, ..)| due <= round);
            awaited = waiting;
            let come: Vec<_> = come;
            for (_, id, outcome) in come {
                aggregate.end(id, Some(sample(outcome)));
            }
            sessions.last_mut().unwrap().extend(aggregate.close(now, &around));
        }
        sessions.last_mut().unwrap().extend(aggregate.close_all(&around));
        let mut scheduled = BTreeMap::new();
        for closed in &sessions {
            let intervals: BTreeSet<_> = closed.iter().map(|closed| closed.interval).collect();
            prop_assert_eq!(intervals.len(), closed.len(), "an interval was emitted twice");
            for row in closed.iter().flat_map(|closed| &closed.rows) {
                prop_assert!(row.counters.identity_holds(), "{:?}", row.counters);
                prop_assert_eq!(row.histogram.count(), row.counters.answered);
                *scheduled.entry(row.series.key.metric).or_insert(0) += row.counters.scheduled;
                if row.series.key.metric == Metric::IcmpRtt {
                    for time in [row.histogram.min_us(), row.histogram.max_us()].into_iter().flatten() {
                        prop_assert!(answers.contains(&time), "{} µs was never measured", time);
                    }
                }
            }
        }
        let jitter = Metric::Jitter(NetworkMetric::IcmpRtt);
        for metric in [Metric::IcmpRtt, Metric::AgentNoise, jitter] {
            prop_assert_eq!(scheduled.get(&metric).unwrap_or(&0) + uncounted, turns, "{}", metric);
        }
    }
}
