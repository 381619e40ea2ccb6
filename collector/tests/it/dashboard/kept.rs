//! Pages that take long: they are kept, say how old they are, and are nobody else's.

use crate::{collector::Collector, seeded::seeded_collector_with};
use reqwest::{Method, Response};
use serde_json::json;
use std::time::Duration;

const PAGE: &str = "/latency?last=1h";

/// A collector every page of which took long.
async fn slow_collector() -> Collector {
    seeded_collector_with(|config| config.operators.slow_page = Duration::ZERO).await
}

async fn open(collector: &Collector, token: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = collector.anonymous(Method::GET, PAGE).bearer_auth(token).header("accept", "text/html");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// What a page says of its age, and whether its head says so, too.
async fn age(response: Response) -> bool {
    let head = response.headers().contains_key("age");
    let html = response.text().await.unwrap();
    assert_eq!(html.contains("class=\"age kept\""), head, "{html}");
    assert_eq!(html.contains("<!-- kept -->"), !head, "{html}");
    // Whole, whether it was kept or not.
    assert!(
        html.contains("Aurora Networks") && html.contains("measured until") && html.contains("</html>"),
        "{html}"
    );
    head
}

#[tokio::test]
async fn a_page_that_took_long_is_kept_and_says_how_old_it_is() {
    let collector = slow_collector().await;
    let token = collector.operator_token();
    assert!(!age(open(&collector, &token, &[]).await).await, "nobody had asked before");
    let again = open(&collector, &token, &[]).await;
    assert!(again.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert_eq!(again.headers()["content-type"], "text/html; charset=utf-8");
    assert!(age(again).await);
    // An open page renews itself, and takes what is kept; a reader who insists gets a page that is made now.
    let renewal = [("cache-control", "no-cache"), ("peerlight-renewal", "1")];
    assert!(age(open(&collector, &token, &renewal).await).await);
    assert!(!age(open(&collector, &token, &[("cache-control", "no-cache")]).await).await);
    collector.stop().await;
}

#[tokio::test]
async fn a_kept_page_is_of_one_reader_alone() {
    let collector = slow_collector().await;
    age(open(&collector, &collector.operator_token(), &[]).await).await;
    let body = json!({ "name": "wall", "role": "reader" });
    let other = collector.operator(Method::POST, "/api/v1/operators").json(&body).send().await.unwrap();
    let other: serde_json::Value = other.json().await.unwrap();
    let token = other["token"].as_str().unwrap();
    assert!(!age(open(&collector, token, &[]).await).await, "made for this reader");
    let id = &other["id"];
    let revoked =
        collector.operator(Method::DELETE, &format!("/api/v1/operators/{id}")).send().await.unwrap();
    assert!(revoked.status().is_success());
    let refused = collector.anonymous(Method::GET, PAGE).bearer_auth(token).send().await.unwrap();
    assert_eq!(refused.status(), 401, "what is kept is not for who may not ask any more");
    collector.stop().await;
}

#[tokio::test]
async fn what_was_made_fast_is_not_kept() {
    let collector =
        seeded_collector_with(|config| config.operators.slow_page = Duration::from_hours(1)).await;
    let token = collector.operator_token();
    for _time in 0..2 {
        assert!(!age(open(&collector, &token, &[]).await).await);
    }
    collector.stop().await;
}
