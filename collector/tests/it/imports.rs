//! `/api/v1/registrations/import`: all of a file or none, once.

use crate::collector::{Collector, problem};
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/registrations/import";
const HEADER: &str = "site,provider,location,prefixes,allow_non_public\n";

/// A collector that knows a provider and a location.
async fn collector() -> Collector {
    let collector = Collector::start().await;
    for (path, body) in [
        ("/api/v1/providers", json!({"name": "Example Telecom", "kind": "ISP"})),
        ("/api/v1/locations", json!({"code": "GB-LND", "time_zone": "Europe/London"})),
    ] {
        let added = collector.operator(Method::POST, path).json(&body).send().await.unwrap();
        assert_eq!(added.status(), 201);
    }
    collector
}

async fn import(collector: &Collector, query: &str, file: String) -> (u16, Value) {
    let request = collector.operator(Method::POST, &format!("{PATH}{query}"));
    let answer = request.header("content-type", "text/csv; charset=utf-8").body(file).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn listed(collector: &Collector, path: &str) -> Value {
    collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

fn rows(numbers: std::ops::Range<u16>) -> String {
    let row = |number: u16| {
        let [a, b] = number.to_be_bytes();
        format!("site-{number},example telecom,gb-lnd,20.{a}.{b}.0/24 fd00:{number:x}::/32,yes\n")
    };
    numbers.map(row).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn a_file_is_imported_once_however_often_it_is_sent_and_every_row_is_audited() {
    let collector = collector().await;
    let file = [HEADER, &rows(0..50)].concat();
    let dry = import(&collector, "?dry_run=true", file.clone()).await;
    assert_eq!(dry, (200, json!({"added": 50, "unchanged": 0, "dry_run": true})));
    assert_eq!(listed(&collector, "/api/v1/registrations").await["total"], 0);

    let done = import(&collector, "", file.clone()).await;
    assert_eq!(done, (200, json!({"added": 50, "unchanged": 0, "dry_run": false})));
    let more = [HEADER, &rows(0..60)].concat();
    let again = import(&collector, "", more).await;
    assert_eq!(again, (200, json!({"added": 10, "unchanged": 50, "dry_run": false})));
    assert_eq!(listed(&collector, "/api/v1/registrations").await["total"], 60);
    let same = import(&collector, "", file).await;
    assert_eq!(same, (200, json!({"added": 0, "unchanged": 50, "dry_run": false})));

    let audit = listed(&collector, "/api/v1/audit?limit=100").await;
    let entries: Vec<&Value> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["what"] == "registration import")
        .collect();
    assert_eq!(entries.len(), 60);
    let latest = entries[0];
    assert_eq!(
        (&latest["object"], &latest["who"], &latest["before"]),
        (&json!("site-59"), &json!("local"), &Value::Null)
    );
    assert_eq!(latest["after"]["prefixes"], json!(["20.0.59.0/24", "fd00:3b::/32"]));
}

#[tokio::test]
async fn one_fault_keeps_the_whole_file_out_and_every_fault_is_told_by_its_line() {
    let collector = collector().await;
    let file = [
        HEADER,
        &rows(0..3),
        "leeds-1,Nobody,GB-LND,20.0.1.0/25,yes\n",
        "york-1,Example Telecom,GB-LND,,no\n",
    ]
    .concat();
    let (status, answer) = import(&collector, "", file).await;
    assert_eq!((status, answer["type"].as_str()), (422, Some("urn:peerlight:problem:invalid")));
    let errors: Vec<&str> = answer["errors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(errors[0].starts_with("line 5: there is no provider `Nobody`"), "{errors:?}");
    assert!(
        errors[1].contains("overlaps 20.0.1.0/24 of site `site-1` through Example Telecom (line 3)"),
        "{errors:?}"
    );
    assert_eq!(errors[2], "line 6: a registration needs at least one prefix");
    assert_eq!(errors.len(), 3);
    assert_eq!(listed(&collector, "/api/v1/registrations").await["total"], 0);
}

#[tokio::test]
async fn only_operators_that_may_change_things_import_and_only_csv_within_the_bound() {
    let collector = collector().await;
    let reader =
        collector.operator(Method::POST, "/api/v1/operators").json(&json!({"name": "eye", "role": "reader"}));
    let reader: Value = reader.send().await.unwrap().json().await.unwrap();
    let post = |request: reqwest::RequestBuilder, kind: &str, body: Vec<u8>| {
        request.header("content-type", kind).body(body).send()
    };
    let anonymous = collector.anonymous(Method::POST, PATH);
    let refused = post(anonymous, "text/csv", HEADER.into()).await.unwrap();
    assert_eq!(problem(refused).await, (401, "sign-in-required".into()));
    let token = reader["token"].as_str().unwrap();
    let reading = collector.anonymous(Method::POST, PATH).bearer_auth(token);
    assert_eq!(
        problem(post(reading, "text/csv", HEADER.into()).await.unwrap()).await,
        (403, "not-allowed".into())
    );
    let wrong =
        post(collector.operator(Method::POST, PATH), "application/json", b"{}".to_vec()).await.unwrap();
    assert_eq!(problem(wrong).await, (415, "unsupported-media-type".into()));
    let large = vec![b'x'; (16 << 20) + 1];
    let large = post(collector.operator(Method::POST, PATH), "text/csv", large).await.unwrap();
    assert_eq!(problem(large).await, (413, "too-large".into()));
    // Every other body of an operator is small.
    let other = collector.operator(Method::POST, "/api/v1/registrations").json(&"x".repeat(1 << 20));
    assert_eq!(problem(other.send().await.unwrap()).await, (413, "too-large".into()));
}

#[tokio::test]
async fn many_thousand_sites_are_imported_by_one_request() {
    let collector = collector().await;
    let row = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        format!("site-{number},Example Telecom,GB-LND,{}.{b}.{c}.0/24,yes\n", 20 + a)
    };
    let rows = (0..20_000).map(row).collect::<Vec<_>>().concat();
    let file = [HEADER, &rows].concat();
    let (status, answer) = import(&collector, "", file).await;
    assert_eq!((status, &answer), (200, &json!({"added": 20_000, "unchanged": 0, "dry_run": false})));
    let last = listed(&collector, "/api/v1/registrations?address=20.78.31.9").await;
    assert_eq!(last["items"][0]["site"], "site-19999");
}
