//! `/api/v1/reattributions`: history that was registered wrongly is put right, and the audit says who did it.

use crate::{
    collector::{Collector, NOON, problem},
    seeded::seeded_collector,
};
use peerlight_collector::{report::Report, rfc3339};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/api/v1/reattributions";

async fn post(collector: &Collector, path: &str, body: &Value) -> Response {
    collector.operator(Method::POST, path).json(body).send().await.unwrap()
}

async fn get(collector: &Collector, path: &str) -> Value {
    collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

/// What London's agent counts for: each provider's probes and coverage there.
async fn london(collector: &Collector) -> Vec<(String, u64, f64)> {
    let question = "/api/v1/reports/latency?by=provider,location&metric=tcp.connect&last=2h";
    let report: Report = serde_json::from_value(get(collector, question).await).unwrap();
    let rows = report.rows.into_iter().filter(|row| row.group.location.as_deref() == Some("GB-LND"));
    let row = |row: peerlight_collector::report::ReportRow| {
        (row.group.provider.unwrap(), row.verified, row.coverage.unwrap_or_default())
    };
    rows.map(row).collect()
}

#[tokio::test]
async fn what_was_measured_before_the_new_provider_was_registered_is_given_to_it() {
    let collector = seeded_collector().await;
    let registrations = get(&collector, "/api/v1/registrations").await;
    let first =
        registrations["items"].as_array().unwrap().iter().find(|one| one["site"] == "site-0").unwrap();
    let path = format!("/api/v1/registrations/{}", first["id"]);
    assert!(collector.operator(Method::DELETE, &path).send().await.unwrap().status().is_success());
    let successor = json!({"site": "site-0", "provider": "Borealis", "location": "GB-LND",
        "prefixes": first["prefixes"], "allow_non_public": true});
    let successor: Value = post(&collector, "/api/v1/registrations", &successor).await.json().await.unwrap();
    let before = london(&collector).await;
    assert_eq!(before.iter().map(|(_, verified, _)| *verified).collect::<Vec<_>>(), [720, 720]);

    // The line had been moved half an hour earlier, within a minute.
    let since = rfc3339::text(NOON.minus(Duration::from_mins(31)));
    let order =
        json!({"from": first["id"], "to": successor["id"], "since": since, "reason": "moved at half past"});
    let answer = post(&collector, PATH, &order).await;
    assert_eq!(answer.status(), 200);
    let done: Value = answer.json().await.unwrap();
    let figures = ["measurements", "rollup_rows", "probes", "unreadable"].map(|name| done[name].as_u64());
    assert_eq!(figures, [Some(29 * 4), Some(0), Some(29 * 2 * (6 + 5)), Some(0)], "{done}");
    assert!(done["finished"].is_string(), "{done}");

    let after = london(&collector).await;
    assert_eq!(after.iter().map(|(_, verified, _)| *verified).collect::<Vec<_>>(), [372, 1_068]);
    assert!(after.iter().all(|(_, _, coverage)| *coverage > 0.98), "nobody misses what was moved: {after:?}");
    let by_prefix =
        "/api/v1/reports/latency?by=provider,location,prefix&metric=tcp.connect&last=2h&provider=Borealis";
    let by_prefix = get(&collector, by_prefix).await.to_string();
    assert!(by_prefix.contains("198.51.100.0/24"), "{by_prefix}");
    assert_eq!(get(&collector, PATH).await["items"], json!([done]));
    let audit = get(&collector, "/api/v1/audit").await;
    let entry = &audit["items"][0];
    assert_eq!(entry["what"], "registration reattribute", "{entry}");
    assert!(entry.to_string().contains("moved at half past"), "{entry}");
    collector.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_reattribution_is_said_at_once() {
    let collector = seeded_collector().await;
    let order = |from: i64, to: i64, since: &str, reason: &str| json!({"from": from, "to": to, "since": since, "until": "2026-01-01", "reason": reason});
    let wrong = post(&collector, PATH, &order(1, 2, "2026-02-01", " ")).await;
    let wrong: Value = wrong.json().await.unwrap();
    assert_eq!(wrong["errors"].as_array().map(Vec::len), Some(2), "{wrong}");
    for (from, to, expected) in [(1, 1, (422, "invalid")), (1, 99, (404, "not-found"))] {
        let refused = problem(post(&collector, PATH, &order(from, to, "2025-01-01", "a test")).await).await;
        assert_eq!((refused.0, refused.1.as_str()), expected);
    }
    assert_eq!(get(&collector, PATH).await["items"], json!([]));
    collector.stop().await;
}
