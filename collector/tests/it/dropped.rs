//! What was dropped is in every report of it: told by agents, refused, or rejected whole, over real HTTP.

use crate::{
    agent::Agent,
    batches::{SITE, acknowledged, batch},
    collector::{Collector, NOON},
};
use http::Method;
use peerlight_collector::report::Report;
use peerlight_proto::{
    batch::Batch,
    codec::encode_batch,
    drops::{Account, DropEntry, DropReason, hour_of},
    id::AccountId,
    time::{Interval, IntervalLength},
};
use serde_json::{Value, json};
use std::time::Duration;

/// The batch of this number, whose agent dropped so many measurements an hour ago.
fn telling(agent: &Agent, sequence: u64, measurements: u64) -> Batch {
    let hour = hour_of(NOON.minus(Duration::from_hours(1)));
    let entry = DropEntry {
        hour,
        uplink: SITE.into(),
        reason: DropReason::SpoolFull,
        measurements,
        turns: measurements * 6,
        unread_batches: 0,
        first: hour,
        last: hour.plus(Duration::from_hours(1)),
    };
    let mut batch = batch(agent.id, sequence);
    let account = Account { id: AccountId::new([4; 16]), until: measurements, entries: vec![entry] };
    batch.health.dropped = Some(account);
    batch
}

async fn push(agent: &Agent, batch: &Batch) -> Option<u64> {
    acknowledged(agent, encode_batch(batch).unwrap()).await.dropped.map(|signed| signed.until)
}

async fn report(collector: &Collector, query: &str) -> Value {
    let path = format!("/api/v1/reports/latency?last=3h{query}");
    let answer = collector.operator(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn every_report_says_once_what_an_agent_dropped_and_what_was_refused() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    assert_eq!(push(&agent, &batch(agent.id, 0)).await, None, "nothing was told, nothing is signed for");
    assert_eq!(report(&collector, "").await["dropped"], json!([]));

    assert_eq!(push(&agent, &telling(&agent, 1, 12)).await, Some(12));
    // A repeat, and an older batch that comes late, change nothing.
    assert_eq!(push(&agent, &telling(&agent, 1, 12)).await, Some(12));
    assert_eq!(push(&agent, &telling(&agent, 2, 5)).await, Some(5));
    let mut ahead = batch(agent.id, 3);
    let later = Interval::containing(NOON.plus(Duration::from_mins(20)), IntervalLength::MINUTE);
    ahead.measurements[0].interval = later;
    for _again in 0..2 {
        assert_eq!(push(&agent, &ahead).await, None);
    }

    let said = report(&collector, "").await;
    let hour = hour_of(NOON.minus(Duration::from_hours(1)));
    let place =
        json!({"site": SITE, "provider": "Example Telecom", "location": "GB-LND", "unread_batches": 0});
    let mut full = json!({"by": "agent", "reason": "spool_full", "measurements": 12, "turns": 72,
        "from": peerlight_collector::rfc3339::text(hour),
        "to": peerlight_collector::rfc3339::text(hour.plus(Duration::from_hours(1)))});
    full.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
    assert_eq!(said["dropped"][0], full);
    let refused = &said["dropped"][1];
    let what = [&refused["by"], &refused["reason"], &refused["measurements"], &refused["turns"]];
    assert_eq!(what, [&json!("collector"), &json!("refused_future"), &json!(1), &json!(3)]);
    assert_eq!(said["dropped"].as_array().unwrap().len(), 2, "{said:#}");

    let filtered = report(&collector, "&location=GB&by=target&step=15m").await;
    assert_eq!(filtered["dropped"], said["dropped"], "by no target, and in no slot");
    let csv = collector.operator(Method::GET, "/api/v1/reports/latency?last=3h&format=csv");
    let csv = csv.send().await.unwrap().text().await.unwrap();
    assert!(csv.trim_end().ends_with(r#",13,75,0,"refused_future, spool_full""#), "{csv}");
    let shown: Report = serde_json::from_value(said).unwrap();
    let table = peerlight_collector::report::render::table::render(&shown, None);
    let sentence = format!(
        "site {SITE}: 12 measurements of 2026-09-21 13:00 to 14:00 UTC dropped by its agent: spool full."
    );
    assert!(table.contains(&format!("Missing: {sentence}")), "{table}");
    let page =
        collector.operator(Method::GET, "/latency?last=3h").send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&sentence), "{page}");
    let metrics = collector.operator(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        r#"peerlight_collector_dropped_measurements_total{reason="spool_full"} 12"#,
        r#"peerlight_collector_dropped_measurements_total{reason="refused_future"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    collector.stop().await;
}
