//! Pages and the API say the same numbers.

use super::open;
use crate::{
    availability::{busy_evenings, two_hours},
    collector::Collector,
    comparisons,
    seeded::seeded_collector,
};
use peerlight_collector::report::{
    Report,
    availability::AvailabilityReport,
    compare::Comparison,
    render::{
        availability::table::figures_of,
        comparison::{
            because,
            table::{loss, sentence, shift},
            words,
        },
        figure, time_of_day,
    },
    series::SeriesReport,
    time_of_day::TimeOfDayReport,
};
use reqwest::Method;
use serde::de::DeserializeOwned;

pub(super) async fn report<R: DeserializeOwned>(collector: &Collector, path: &str) -> R {
    collector
        .operator(Method::GET, &format!("/api/v1/reports/{path}"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

pub(super) async fn page(collector: &Collector, path: &str) -> String {
    let page = open(collector, path).await;
    assert_eq!(page.status(), 200, "{path}");
    page.text().await.unwrap()
}

/// What is read of a piece of a page: small words stand behind a space.
pub(super) fn words_of(html: &str) -> String {
    let spaced = html.replace("<small>", " ");
    spaced.split('<').map(|part| part.split_once('>').map_or(part, |(_tag, text)| text)).collect()
}

pub(super) fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure::ms)
}

#[tokio::test]
async fn each_cell_of_the_overview_is_a_row_of_the_report_of_latency() {
    let collector = seeded_collector().await;
    let html = page(&collector, "/").await;
    let report: Report = report(&collector, "latency?last=24h&by=location,provider&metric=tcp.connect").await;
    assert_eq!(report.rows.len(), 6);
    for row in &report.rows {
        let (provider, location) =
            (row.group.provider.as_ref().unwrap(), row.group.location.as_ref().unwrap());
        let (p50, p95) = (ms(row.latency_ms.p50), ms(row.latency_ms.p95));
        let loss = figure::percent(row.loss.unwrap().value);
        let told = format!("{provider} at {location}: p50 {p50} ms, p95 {p95} ms, loss {loss}");
        assert!(html.contains(&told), "{told} is not in {html}");
    }
    collector.stop().await;
}

#[tokio::test]
async fn what_is_wrong_now_is_on_the_overview() {
    let collector = two_hours().await;
    let html = page(&collector, "/?last=1h").await;
    assert!(html.contains("Nothing is being measured"), "{html}");
    // A span that has ended has no now.
    let past = page(&collector, "/?from=2026-09-21T12:00:00Z&to=2026-09-21T13:00:00Z").await;
    assert!(!past.contains("id=\"now\"") && past.contains("id=\"grid\""), "{past}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_is_that_of_the_report_of_comparison() {
    let collector = comparisons::a_week(&comparisons::SITES).await;
    let html = page(&collector, "/compare").await;
    let comparison: Comparison = report(&collector, "compare?providers=Aurora+Networks,Borealis").await;
    let [by_connect] = comparison.metrics.as_slice() else { panic!("{comparison:?}") };
    assert!(html.contains(&sentence(&comparison, &by_connect.overall)), "{html}");
    for place in &by_connect.locations {
        let row = html
            .split("<tr class=")
            .find(|row| row.contains(&format!("<th scope=\"row\">{}</th>", place.location)));
        let row = row.unwrap_or_else(|| panic!("{} is not in {html}", place.location));
        let judgement = &place.judgement;
        let shift = judgement.shift_ms.map_or_else(|| "–".to_owned(), shift);
        let loss = judgement.loss_difference.map_or_else(|| "–".to_owned(), loss);
        for told in [words(judgement.verdict).to_owned(), because(judgement).unwrap_or_default(), shift, loss]
        {
            // Templates escape what a page could take for its own.
            let told = told.replace('<', "&#60;");
            assert!(words_of(row).contains(&told), "{told} is not in {row}");
        }
    }
    assert!(html.contains("Not ranked") && html.contains("BR-SP") && html.contains("AU-NSW"), "{html}");
    assert!(html.matches("class=\"ecdf\"").count() >= 4, "{html}");
    collector.stop().await;
}

#[tokio::test]
async fn each_slot_of_a_series_is_one_of_the_report() {
    let collector = seeded_collector().await;
    let html = page(&collector, "/series?provider=Borealis&location=FR-IDF").await;
    let path =
        "series?last=1h&by=provider,location&metric=tcp.connect&provider=Borealis&location=FR-IDF&step=5m";
    let found: SeriesReport = report(&collector, path).await;
    let [series] = found.series.as_slice() else { panic!("{found:?}") };
    assert!(series.slots.len() >= 12 && html.contains("slots of 5m"), "{html}");
    for slot in &series.slots {
        let time = peerlight_collector::rfc3339::text(slot.slot);
        let line = html.split("<tr>").find(|line| line.contains(&format!("datetime=\"{time}\""))).unwrap();
        let told: Vec<&str> =
            line.split("<td class=\"n\">").skip(1).map(|cell| cell.split('<').next().unwrap()).collect();
        let latency = &slot.latency_ms;
        let loss = slot.loss.map_or_else(|| "–".to_owned(), |loss| figure::percent(loss.value));
        let expected = [ms(latency.p5), ms(latency.p50), ms(latency.p95), ms(latency.p99)];
        let rest = [ms(slot.latency_incl_loss_ms.p95), loss, slot.sent.to_string()];
        assert_eq!(told[..7], expected.into_iter().chain(rest).collect::<Vec<_>>(), "{time}");
        assert_eq!(slot.bins.iter().map(|bin| bin.count).sum::<u64>(), slot.answered);
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_time_holds_the_figures_of_the_report_of_availability() {
    let collector = two_hours().await;
    let html = page(&collector, "/availability?last=2h").await;
    let report: AvailabilityReport = report(&collector, "availability?last=2h&by=provider,location").await;
    for row in &report.rows {
        let provider = row.group.provider.as_ref().unwrap();
        let head = format!("<th scope=\"row\">{provider}</th><td>GB-LND</td><td>{}</td>", row.metric);
        let line = html.split("<tr>").find(|line| line.starts_with(&head)).unwrap();
        for told in figures_of(row).map(|figure| figure.replacen(" (", "<small>(", 1)) {
            assert!(line.contains(&told), "{told} is not in {line}");
        }
    }
    assert!(html.contains("class=\"out\"") && html.contains("54 probes unanswered"), "{html}");
    assert!(html.contains("nothing heard"), "{html}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hour_is_one_of_the_report_of_the_time_of_day() {
    let collector = busy_evenings().await;
    let html = page(&collector, "/time-of-day?last=14d").await;
    let report: TimeOfDayReport = report(&collector, "time-of-day?last=14d").await;
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert!(html.contains(&time_of_day::table::sentence(row)) && html.contains("Asia/Kolkata"), "{html}");
    for hour in &row.hours {
        let cells = time_of_day::table::cells(hour);
        let line = format!("<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td>", cells[0], cells[1]);
        let line =
            html.split("</tr>").find(|one| one.contains(&line)).unwrap_or_else(|| panic!("{line}: {html}"));
        for cell in cells {
            assert!(line.contains(&cell), "{cell} is not in {line}");
        }
    }
    collector.stop().await;
}
