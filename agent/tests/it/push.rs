//! Push against a real TLS server that signs, or does not.

use crate::collector::{Collector, Mood};
use peerlight_agent::{
    clock::Clock,
    link::Link,
    paths::StateDir,
    push::{Patience, Push},
    spool::{Spool, SpoolSettings, handle::SharedSpool, pack::Draft},
    status::{Board, PushState, Status},
};
use peerlight_proto::{
    histogram::Histogram,
    id::SessionId,
    measurement::{Counters, Measurement},
    metric::Metric,
    series::{Clock as Stamp, Family, Path, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength, Timestamp},
};
use std::{collections::BTreeSet, time::Duration};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const START: i64 = 1_800_000_000;
const SESSION: SessionId = SessionId::new([9; 16]);
const PATIENCE: Patience = Patience {
    first: Duration::from_millis(5),
    cap: Duration::from_millis(50),
    stopped: Duration::from_millis(50),
    enrolment: Duration::from_millis(50),
};

/// An enrolled agent's spool and what pushes it.
pub(crate) struct Agent {
    directory: TempDir,
    link: Link,
    pub(crate) spool: SharedSpool,
    board: Board,
    pushing: JoinHandle<()>,
}

impl Agent {
    pub(crate) async fn start(collector: &Collector, clock: Clock) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let link = collector.enrol(&StateDir::new(directory.path()), clock).await;
        let (spool, board) = (open_spool(&link), Board::default());
        let pushing = tokio::spawn(Push::new(spool.clone(), link.clone(), board.clone(), PATIENCE).run());
        Self { directory, link, spool, board, pushing }
    }

    /// As it is after a restart: with new connections.
    pub(crate) fn restarted(self) -> Self {
        self.pushing.abort();
        let board = Board::default();
        let push = Push::new(self.spool.clone(), self.link.clone(), board.clone(), PATIENCE);
        Self { board, pushing: tokio::spawn(push.run()), ..self }
    }

    pub(crate) async fn append(&self, second: i64, measurements: u32) {
        let created = Timestamp::from_secs(START);
        self.spool.append(SESSION, vec![draft(second, measurements)], created, None).await.unwrap();
    }

    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&Status) -> bool) {
        eventually(what, || enough(&self.board.get())).await;
    }

    pub(crate) async fn until_empty(&self) {
        eventually("an empty spool", || self.spool.counts().batches == 0).await;
    }
}

pub(crate) fn open_spool(link: &Link) -> SharedSpool {
    SharedSpool::new(Spool::open(&link.state.spool(), link.key.agent(), SpoolSettings::default()).unwrap())
}

/// Waits for a condition, with a deadline.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !condition() {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "never came: {what}");
}

pub(crate) fn draft(second: i64, measurements: u32) -> Draft {
    let target = Target {
        name: "a".to_owned(),
        service: String::new(),
        address: "a.example.com".parse().unwrap(),
        probe: "icmp".parse().unwrap(),
    };
    let key = |index| SeriesKey {
        uplink: format!("site-{index}").into(),
        target: target.id(),
        metric: Metric::IcmpRtt,
        family: Family::V4,
        path: Path::Direct,
        clock: Stamp::Kernel,
        http_version: None,
        handshake: None,
    };
    Draft {
        series: (0..measurements)
            .map(|index| Series { key: key(index), target: target.clone().into(), probe_interval_ms: 1_000 })
            .collect(),
        measurements: (0..measurements)
            .map(|series| Measurement {
                series,
                interval: Interval::starting(START + second, IntervalLength::from_secs(1).unwrap()).unwrap(),
                counters: Counters { scheduled: 1, answered: 1, ..Counters::default() },
                histogram: Histogram::from_values([900]),
                attributes: vec![],
                observed: None,
            })
            .collect(),
    }
}

#[tokio::test]
async fn sixty_intervals_spooled_while_the_collector_was_away_arrive_complete_after_a_restart() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    collector.set_mood(Mood::Portal);
    for second in 0..60 {
        agent.append(second, 1).await;
    }
    agent.pushing.abort();
    eventually("the end of the first process", || agent.pushing.is_finished()).await;
    agent.spool.close();
    collector.set_mood(Mood::Accept);
    let spool = open_spool(&agent.link);
    assert_eq!(spool.counts().batches, 60);
    tokio::spawn(Push::new(spool.clone(), agent.link.clone(), Board::default(), PATIENCE).run());
    let seen = collector.until("sixty batches", |seen| seen.stored.len() >= 60).await;
    let starts: Vec<_> =
        seen.stored.iter().map(|batch| batch.oldest_start().unwrap().as_secs() - START).collect();
    assert_eq!(starts[0], 59, "the newest interval comes first");
    assert_eq!(starts[1..], (0..59).collect::<Vec<_>>(), "then the backlog, oldest first");
    assert_eq!(seen.stored.iter().map(|batch| batch.number).collect::<BTreeSet<_>>().len(), 60);
    eventually("an empty spool", || spool.counts().batches == 0).await;
    assert!(agent.directory.path().exists());
}

#[tokio::test]
async fn nothing_but_the_collectors_signed_word_deletes_a_batch() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    for (second, mood) in (0..).zip([Mood::Portal, Mood::Forge, Mood::Misquote, Mood::RejectUnsigned]) {
        collector.set_mood(mood);
        agent.append(second, 1).await;
        let before = collector.seen.borrow().requests;
        collector.until("three attempts", |seen| seen.requests >= before + 3).await;
        let counts = agent.spool.counts();
        assert_eq!(
            (counts.batches, counts.acknowledged, counts.rejected),
            (second.unsigned_abs() + 1, 0, 0),
            "{mood:?}"
        );
        agent.until("the reason", |status| matches!(status.push, PushState::Retrying { .. })).await;
    }
    collector.set_mood(Mood::Accept);
    agent.until_empty().await;
    assert_eq!(collector.seen.borrow().stored.len(), 4);
}

#[tokio::test]
async fn a_batch_that_the_collector_finds_too_large_arrives_in_parts() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    collector.set_mood(Mood::AtMost(2));
    agent.append(0, 7).await;
    let seen = collector.until("seven measurements", |seen| {
        seen.stored.iter().map(|batch| batch.measurements.len()).sum::<usize>() >= 7
    });
    let seen = seen.await;
    let uplinks: BTreeSet<_> = seen
        .stored
        .iter()
        .flat_map(|batch| batch.measurements.iter().map(|m| &batch.series[m.series as usize].key.uplink))
        .collect();
    assert_eq!(uplinks.len(), 7, "each measurement once");
    assert!(seen.stored.iter().all(|batch| batch.part.is_some_and(|part| part.count == 2)));
    agent.until_empty().await;
}

#[tokio::test]
async fn a_single_measurement_that_the_collector_finds_too_large_is_set_aside_and_not_deleted() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    collector.set_mood(Mood::AtMost(0));
    agent.append(0, 1).await;
    agent.until_empty().await;
    let counts = agent.spool.counts();
    assert_eq!((counts.too_large, counts.rejected), (1, 0));
    let kept = std::fs::read_dir(agent.link.state.spool().join("too-large")).unwrap();
    assert_eq!(kept.count(), 1);
}

#[tokio::test]
async fn an_agent_that_is_turned_away_keeps_everything_and_says_so() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    collector.set_mood(Mood::Unknown);
    agent.append(0, 1).await;
    agent
        .until(
            "the reason",
            |status| matches!(&status.push, PushState::Stopped { reason } if reason.contains("401")),
        )
        .await;
    assert_eq!(agent.spool.counts().batches, 1);
    collector.set_mood(Mood::Accept);
    agent.until_empty().await;
    agent.until("recovery", |status| status.push == PushState::Idle && status.last_ack_us.is_some()).await;
}

#[tokio::test]
async fn a_batch_that_is_rejected_for_good_is_deleted_and_counted() {
    let collector = Collector::start(Clock::system()).await;
    let agent = Agent::start(&collector, Clock::system()).await;
    collector.set_mood(Mood::Reject);
    agent.append(0, 1).await;
    agent.until_empty().await;
    assert_eq!(agent.spool.counts().rejected, 1);
}

#[tokio::test]
async fn a_wrong_clock_does_not_silence_an_agent() {
    let collector = Collector::start(Clock::system()).await;
    let fast = Clock::manual(Clock::system().wall().plus(Duration::from_hours(5)));
    let agent = Agent::start(&collector, fast).await;
    agent.append(0, 1).await;
    agent.until_empty().await;
    let offset = agent.link.offset.micros().unwrap() / 1_000_000;
    assert!((-5 * 3_600 - 60..=-5 * 3_600 + 60).contains(&offset), "{offset} s");
}
