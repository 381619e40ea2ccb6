//! `/api/v1/reports/series` and `report series`: distributions over time, in every form the same, and no more than one answer
//! holds.

use crate::{
    forms::{print, text},
    seeded::seeded_collector,
};
use peerlight_collector::report::{
    Report,
    render::{ndjson, series as render},
    series::SeriesReport,
};
use reqwest::Method;
use serde_json::Value;

const QUERY: &str = "last=1h&by=provider,location&location=FR-IDF&step=5m";

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_series_says_the_same_and_what_the_report_of_latency_says() {
    let collector = seeded_collector().await;
    let report: SeriesReport =
        serde_json::from_str(&text(&collector, "series", QUERY, "application/json").await).unwrap();
    assert_eq!(report.series.len(), 2);
    let path = format!("/api/v1/reports/latency?{QUERY}&metric=tcp.connect");
    let latency: Report = collector.operator(Method::GET, &path).send().await.unwrap().json().await.unwrap();
    let slots = report.series.iter().flat_map(|row| row.slots.iter().map(move |slot| (&row.group, slot)));
    let mut compared = 0;
    for ((group, slot), row) in slots.zip(&latency.rows) {
        assert_eq!((group, Some(slot.slot), slot.sent), (&row.group, row.slot, row.sent));
        assert_eq!((slot.latency_ms, slot.loss, slot.coverage), (row.latency_ms, row.loss, row.coverage));
        assert_eq!(slot.bins.iter().map(|bin| bin.count).sum::<u64>(), row.answered);
        compared += 1;
    }
    assert!(compared >= 24 && compared == latency.rows.len(), "{compared}");
    assert_eq!(text(&collector, "series", QUERY, "text/csv").await, render::csv::render(&report).unwrap());
    assert_eq!(
        text(&collector, "series", QUERY, "application/x-ndjson").await,
        ndjson::series(&report).unwrap()
    );
    let printed =
        print(&collector, "series", "--last 1h --by provider,location --location FR-IDF --step 5m").await;
    assert_eq!(printed.trim_end(), render::table::render(&report, Some(160)).trim_end());
    insta::assert_snapshot!(printed);
    collector.stop().await;
}

#[tokio::test]
async fn what_is_wrong_and_what_is_too_much_is_said_with_what_to_do() {
    let collector = seeded_collector().await;
    for (query, words) in [
        ("days=all&provider=Boralis", vec!["`days` is not a parameter", "did you mean `Borealis`"]),
        ("last=30h&step=1m&by=site,target,family", vec!["12 series of 1801 slots are more than the 20000"]),
        ("last=30d&step=1m", vec!["more than 2000 slots"]),
    ] {
        let path = format!("/api/v1/reports/series?{query}");
        let answer = collector.operator(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{query}");
        let problem: Value = answer.json().await.unwrap();
        let errors = problem["errors"].to_string();
        for word in words {
            assert!(errors.contains(word), "{word}: {errors}");
        }
    }
    collector.stop().await;
}
