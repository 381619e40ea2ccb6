//! What an operator watches: each figure is made to happen and read back over HTTP, from `/metrics` and from `status`.

use crate::{
    agent::{Agent, Plan},
    batches::{SITE, acknowledged, batch},
    collector::{Collector, NOON},
};
use http::Method;
use peerlight_proto::{
    codec::encode_batch,
    http::{BATCH_MEDIA_TYPE, BATCHES_PATH},
};
use serde_json::{Value, json};
use std::time::Duration;

async fn metrics(collector: &Collector) -> String {
    let answer = collector.operator(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// The value of a sample.
fn value<'a>(metrics: &'a str, sample: &str) -> &'a str {
    let value =
        |line: &'a str| line.strip_prefix("peerlight_collector_")?.strip_prefix(sample)?.strip_prefix(' ');
    metrics.lines().find_map(value).unwrap_or_else(|| panic!("no {sample} in\n{metrics}"))
}

async fn status(collector: &Collector) -> Value {
    collector.operator(Method::GET, "/api/v1/status").send().await.unwrap().json().await.unwrap()
}

fn push(agent: &Agent, sequence: u64) -> Plan {
    let body = encode_batch(&batch(agent.id, sequence)).unwrap();
    agent.plan(Method::POST, BATCHES_PATH, BATCH_MEDIA_TYPE, body)
}

#[tokio::test]
async fn every_vital_sign_shows_what_happened() {
    let collector = Collector::start_with(|config| config.limits.connections = 77).await;
    let before = metrics(&collector).await;
    assert_eq!(value(&before, "newest_interval_age_seconds"), "NaN");
    let agent = Agent::enrolled(&collector, SITE).await;
    acknowledged(&agent, encode_batch(&batch(agent.id, 0)).unwrap()).await;
    assert_eq!(agent.send(&push(&agent, 0)).await.status, 200, "a duplicate");
    let soon = NOON.plus(Duration::from_secs(100));
    collector.clock.set(soon);
    collector.store.compact(collector.clock.now()).await.unwrap();

    let text = metrics(&collector).await;
    // The batch's minute ended at 14:12:00; it came at 14:13:20.
    for (sample, expected) in [
        ("newest_interval_age_seconds", "180.0"),
        ("oldest_log_batch_age_seconds", "100.0"),
        ("puts_waiting", "0"),
        ("writer_failing", "0"),
        ("compaction_failing", "0"),
        ("compaction_timestamp_seconds", "1790000100.0"),
        (r#"connections_limit{listener="agents"}"#, "77"),
        (r#"connections_open{listener="agents"}"#, "1"),
        ("agents_seen", "1"),
        ("agents_silent", "0"),
        ("commit_seconds_count", "2"),
    ] {
        assert_eq!(value(&text, sample), expected, "{sample}");
    }
    for sample in ["wal_bytes", "disk_free_bytes", "store_bytes", "commit_seconds_sum"] {
        assert!(value(&text, sample).parse::<f64>().unwrap() > 0.0, "{sample}");
    }
    assert_eq!(value(&text, "disk_full_in_seconds"), "inf");

    let said = status(&collector).await;
    assert_eq!(said["concerns"], json!([]));
    assert_eq!(said["newest_interval_age_s"], 180);
    assert_eq!(said["commits"]["count"], 2);
    assert_eq!(
        said["agents"],
        json!({"enrolled": 1, "seen_lately": 1, "silent": 0, "unhealthy": 0, "behind": 0, "refusing": 0})
    );
    assert_eq!(said["connections"][0], json!({"listener": "agents", "open": 1, "limit": 77}));
    collector.clock.set(soon.plus(Duration::from_mins(11)));
    let said = status(&collector).await;
    let whats: Vec<_> =
        said["concerns"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(
        whats,
        ["nothing newer than 14 min was stored", "1 of 1 agents were not heard of within ten minutes"]
    );
    collector.stop().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_told_until_it_can() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, SITE).await;
    let meddle =
        |sql: &str| rusqlite::Connection::open(collector.store_file()).unwrap().execute_batch(sql).unwrap();
    meddle("ALTER TABLE ledger RENAME TO elsewhere");
    assert_eq!(agent.send(&push(&agent, 0)).await.status, 503);
    assert_eq!(value(&metrics(&collector).await, "writer_failing"), "1");
    let said = status(&collector).await;
    let what = said["concerns"][0]["what"].as_str().unwrap();
    assert!(what.starts_with("batches cannot be written since 2026-09-21T14:13:20Z: "), "{what}");
    assert_eq!(said["rejections"]["unavailable"], 1);
    meddle("ALTER TABLE elsewhere RENAME TO ledger");
    assert_eq!(agent.send(&push(&agent, 0)).await.status, 200);
    assert_eq!(value(&metrics(&collector).await, "writer_failing"), "0");
    assert_eq!(status(&collector).await["concerns"], json!([]));
    collector.stop().await;
}
