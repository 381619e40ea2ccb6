use super::*;
use crate::{
    sample::{Outcome, Reading},
    targets::Ceilings,
};
use futures::future::{BoxFuture, FutureExt as _};
use peerlight_proto::{
    assignment::AssignedTarget,
    measurement::Counters,
    metric::Metric,
    series::{Clock as Stamp, Path},
    target::Target,
};
use std::collections::BTreeMap;

/// The start of a minute.
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Answers everything at once.
struct Echo;

impl Probe for Echo {
    fn probe<'a>(&'a self, _target: &'a Target, family: Family) -> BoxFuture<'a, Option<Sample>> {
        let latency = Duration::from_millis(5);
        async move {
            tokio::time::sleep(latency).await;
            let outcome = Outcome::Answered { latency, user_latency: latency };
            let (metric, clock) = (Metric::IcmpRtt, Stamp::Kernel);
            let readings = vec![Reading { metric, clock, outcome, http_version: None, handshake: None }];
            Some(Sample { family, path: Path::Direct, address: None, readings, attributes: vec![] })
        }
        .boxed()
    }

    fn dropped_strays(&self) -> u64 {
        0
    }
}

/// ICMP each second to these addresses.
fn assignment(set: u32, addresses: &[&str]) -> Assignment {
    let assigned = |address: &&str| AssignedTarget {
        target: Target {
            name: (*address).to_owned(),
            service: String::new(),
            address: address.parse().unwrap(),
            probe: "icmp".parse().unwrap(),
        },
        interval_ms: Some(1_000),
    };
    Assignment { version: set.to_string(), set, targets: addresses.iter().map(assigned).collect() }
}

/// Measures for three minutes, and is assigned something else after so many seconds. What became of the probes of each address in
/// each minute, and how many sessions there were.
async fn measured(
    first: Assignment,
    then: [(u64, Assignment); 2],
) -> (BTreeMap<(u64, String), Counters>, u64) {
    let clock = Clock::manual(START);
    let (assign, assignment) = watch::channel(Some(first));
    let (to_spool, mut closed) = mpsc::channel(16);
    let (_strays, strays) = mpsc::channel(1);
    let board = Board::default();
    let outlet = Outlet {
        uplink: None,
        site: None,
        probe: Arc::new(Echo),
        strays,
        observations: Observations::default(),
    };
    let ceilings = Ceilings { allow: vec!["192.0.2.0/24".parse().unwrap()], ..Ceilings::default() };
    let measure = Measure::new(Parts {
        agent: AgentId::new([7; 16]),
        outlets: vec![outlet],
        selector: Selector { families: vec![vec![Family::V4]], ceilings, ..Selector::default() },
        length: IntervalLength::MINUTE,
        deadline: Duration::from_secs(3),
        clock: clock.clone(),
        board: board.clone(),
        assignment,
        closed: to_spool,
        captures: None,
    });
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let driver = async {
        let mut then = then.into_iter().peekable();
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        for tick in 0..=18_000_u64 {
            ticks.tick().await;
            if let Some((_, next)) = then.next_if(|(second, _)| second * 100 == tick) {
                assign.send_replace(Some(next));
            }
            clock.advance(Duration::from_millis(10));
        }
        token.cancel();
    };
    tokio::join!(measure.run(shutdown), driver);
    let mut found = BTreeMap::new();
    while let Ok(Closed { interval, .. }) = closed.try_recv() {
        let minute = interval.interval.start().since(START).as_secs() / 60;
        for row in interval.rows.iter().filter(|row| row.series.key.metric == Metric::IcmpRtt) {
            let before = found.insert((minute, row.series.target.address.to_string()), row.counters);
            assert_eq!(before, None, "a series is in an interval once");
        }
    }
    (found, board.get().measuring.sessions)
}

#[tokio::test(start_paused = true)]
async fn a_new_assignment_keeps_the_open_interval() {
    let (stays, goes, comes) = ("192.0.2.1", "192.0.2.2", "192.0.2.3");
    let (found, sessions) = measured(
        assignment(1, &[stays, goes]),
        // In the middle of a minute, and once more in that same minute.
        [(90, assignment(2, &[stays, comes])), (110, assignment(3, &[comes, stays]))],
    )
    .await;
    assert_eq!(sessions, 1);
    let turns = |minute, address: &str| {
        found.get(&(minute, address.to_owned())).map_or(0, |counters: &Counters| {
            assert!(counters.identity_holds());
            assert_eq!(counters.answered, counters.scheduled, "no turn is voided, skipped or doubled");
            counters.scheduled
        })
    };
    assert_eq!([0, 1, 2].map(|minute| turns(minute, stays)), [60; 3], "what stays misses no turn");
    assert_eq!([0, 1, 2].map(|minute| turns(minute, goes)), [60, 30, 0], "what goes keeps what it has");
    assert_eq!(
        [0, 1, 2].map(|minute| turns(minute, comes)),
        [0, 30, 60],
        "what comes is in the same interval"
    );
}
