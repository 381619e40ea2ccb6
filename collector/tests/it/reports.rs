//! `/api/v1/reports`: questions in, figures out, and faults named.

use crate::{
    collector::{Collector, problem},
    seeded::{SITES, seeded_collector},
};
use peerlight_collector::report::{Report, render};
use reqwest::{Method, Response};
use serde_json::Value;

const PATH: &str = "/api/v1/reports/latency";

async fn ask(collector: &Collector, query: &str) -> Response {
    collector.operator(Method::GET, &format!("{PATH}?{query}")).send().await.unwrap()
}

#[tokio::test]
async fn a_report_has_a_row_for_each_group() {
    let collector = seeded_collector().await;
    let answer = ask(&collector, "by=provider,location&metric=tcp.connect&last=1h").await;
    assert_eq!(answer.status(), 200);
    let report: Report = answer.json().await.unwrap();
    assert_eq!(report.rows.len(), SITES.len());
    for row in &report.rows {
        let (_, _, base) = SITES
            .iter()
            .find(|(provider, location, _)| {
                row.group.provider.as_deref() == Some(provider)
                    && row.group.location.as_deref() == Some(location)
            })
            .unwrap();
        let p50 = row.latency_ms.p50.unwrap();
        let (low, high) = (f64::from(*base), 1.3 * f64::from(*base));
        assert!((low..high).contains(&p50), "{row:?}");
        assert_eq!((row.agents, row.verified), (1, row.sent));
        assert_eq!(row.max_clock_offset_ms, Some(1.25));
        assert!(row.jitter_ms.is_some());
    }
    let silent = report.rows.iter().find(|row| {
        row.group.provider.as_deref() == Some("Borealis") && row.group.location.as_deref() == Some("DE-BE")
    });
    assert!(silent.and_then(|row| row.coverage).is_some_and(|coverage| coverage < 0.85), "{silent:?}");
    collector.stop().await;
}

#[tokio::test]
async fn csv_is_answered_by_parameter_and_by_accept() {
    let collector = seeded_collector().await;
    let by_parameter = ask(&collector, "format=csv").await;
    assert!(by_parameter.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    let text = by_parameter.text().await.unwrap();
    assert!(text.starts_with("provider,path,metric,agents,coverage,") && text.lines().count() == 3, "{text}");
    let by_accept = collector.operator(Method::GET, PATH).header("accept", "text/csv").send().await.unwrap();
    assert_eq!(by_accept.text().await.unwrap(), text);
    collector.stop().await;
}

#[tokio::test]
async fn the_table_of_the_command_line_is_as_it_was_read_and_approved() {
    let collector = seeded_collector().await;
    let report: Report = ask(&collector, "by=provider,location").await.json().await.unwrap();
    insta::assert_snapshot!(render::table::render(&report, None));
    collector.stop().await;
}

#[tokio::test]
async fn a_step_gives_a_row_for_each_slot() {
    let collector = seeded_collector().await;
    let report: Report = ask(&collector, "provider=borealis&step=15m").await.json().await.unwrap();
    let slots: Vec<_> = report.rows.iter().map(|row| row.slot.unwrap().as_secs()).collect();
    assert!(slots.len() >= 4 && slots.is_sorted_by(|a, b| b - a == 900), "{slots:?}");
    assert_eq!(report.question.step_seconds, Some(900));
    collector.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said_at_once_and_names_what_is_there() {
    let collector = seeded_collector().await;
    let answer = ask(&collector, "by=city&metric=ping&last=never").await;
    assert_eq!(answer.status(), 422);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["errors"].as_array().map(Vec::len), Some(3), "{body}");
    let everything =
        "by=city&metric=ping&last=never&format=xml&provider=Boralis&location=XX&site=none&target=nowhere";
    let answer = ask(&collector, everything).await;
    assert_eq!(answer.status(), 422);
    let body: Value = answer.json().await.unwrap();
    let errors: Vec<&str> = body["errors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    insta::assert_snapshot!(errors.join("\n"));
    let answer = ask(&collector, "provider=Boralis&target=nowhere").await;
    assert_eq!(answer.status(), 422);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["errors"][0], "there is no provider `Boralis`; did you mean `Borealis`?", "{body}");
    assert_eq!(problem(ask(&collector, "format=xml").await).await, (422, "invalid".into()));
    collector.stop().await;
}

#[tokio::test]
async fn reports_are_for_operators() {
    let collector = seeded_collector().await;
    let nobody = collector.anonymous(Method::GET, PATH).send().await.unwrap();
    assert_eq!(problem(nobody).await, (401, "sign-in-required".into()));
    collector.stop().await;
}
