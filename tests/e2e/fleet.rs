//! A fleet in small, against a real collector's process: everything that was acknowledged is in its report once, whatever
//! was put off on the way, and a flood of backlogs leaves nobody out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

use peerlight_lab::fleet::{self, ASKED, Answers, Machine, Plan, Tally};
use peerlight_proto::time::IntervalLength;
use std::{path::Path, sync::Arc, time::Duration};

/// Lets a fleet push, and returns what was counted and the probes that the report has: scheduled and answered.
async fn pushed(agents: u32, plan: Plan) -> (fleet::Counts, (u64, u64)) {
    let directory = tempfile::tempdir().unwrap();
    let prepared = fleet::prepare(directory.path(), (agents, 3), 7, |_enrolled| ()).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_collector-under-test"));
    let machine = Machine::start(program, directory.path()).await.unwrap();
    let tally = Arc::new(Tally::default());
    fleet::ready(&prepared, machine.agents, plan).await.unwrap().run(&tally).await.unwrap();
    let query =
        [("last", "1d".to_owned()), ("by", "provider".to_owned()), ("metric", ASKED.name().to_owned())];
    let report: serde_json::Value = machine.operator.get("/api/v1/reports/latency", &query).await.unwrap();
    let sum = |name: &str| {
        report["rows"].as_array().unwrap().iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>()
    };
    (tally.counts(), (sum("scheduled"), sum("answered")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fleet_pushed_is_in_the_report_once_and_sessions_are_resumed() {
    let interval = IntervalLength::from_secs(5).unwrap();
    let plan =
        Plan { interval, rounds: 2, backlog: 0, spread: interval.as_duration(), answers: Answers::Checked };
    let (counts, reported) = pushed(30, plan).await;
    assert_eq!((counts.acknowledged, counts.refused_measurements), (60, 0), "{counts:?}");
    assert_eq!(reported, counts.asked);
    // The second of each agent, which closed its connection in between.
    assert_eq!((counts.connections, counts.resumed), (60, 30), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backlogs_that_come_all_at_once_are_all_stored() {
    let interval = IntervalLength::from_secs(1).unwrap();
    let plan = Plan { interval, rounds: 1, backlog: 20, spread: Duration::ZERO, answers: Answers::Checked };
    let (counts, reported) = pushed(40, plan).await;
    assert_eq!((counts.acknowledged, counts.refused_measurements), (40 * 21, 0), "{counts:?}");
    assert_eq!(reported, counts.asked);
    assert_eq!(counts.backlogs.len(), 40);
}
