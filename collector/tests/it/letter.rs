//! `report html`: one file that says the report's figures, loads nothing and runs nothing.

use crate::{
    collector::Collector,
    edges,
    forms::{print, text},
    seeded::seeded_collector,
};
use peerlight_browser::chromium::Chromium;
use peerlight_collector::report::{Report, render::figure};
use reqwest::Method;

async fn letter(collector: &Collector, query: &str) -> (u16, String, String) {
    let path = format!("/api/v1/reports/html?{query}");
    let answer = collector.operator(Method::GET, &path).send().await.unwrap();
    let kept = answer.headers().get("content-disposition").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), kept.unwrap_or_default(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_whole_in_itself_and_says_the_figures_of_the_report() {
    let collector = seeded_collector().await;
    let (status, kept, html) = letter(&collector, "provider=Borealis&last=2h").await;
    assert_eq!((status, kept.as_str()), (200, "attachment; filename=\"peerlight-report.html\""));
    let report = "last=2h&provider=Borealis&by=provider,location&metric=tcp.connect";
    let report: Report =
        serde_json::from_str(&text(&collector, "latency", report, "application/json").await).unwrap();
    assert_eq!(report.rows.len(), 3);
    for row in &report.rows {
        assert!(html.contains(&format!("<strong>{}</strong>", figure::ms(row.latency_ms.p50.unwrap()))));
    }
    for there in ["Borealis: how Microsoft", "<svg class=\"linked\"", "DE-BE", "Availability and outages"] {
        assert!(html.contains(there), "{there}");
    }
    for absent in ["<script", "href=", "src=", "url(", "@import", "http:", "https:", "Aurora"] {
        assert!(!html.contains(absent), "{absent}");
    }
    assert_eq!(print(&collector, "html", "--provider Borealis --last 2h").await, html);
    collector.stop().await;
}

/// How many pages a PDF has.
fn pages(pdf: &[u8]) -> usize {
    let of = |what: &[u8]| pdf.windows(what.len()).filter(|window| *window == what).count();
    of(b"/Type /Page\n") + of(b"/Type /Page ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_printed_on_a_few_pages_none_of_them_cut_off() {
    let Some(chromium) = Chromium::find() else {
        eprintln!("skipped: no Chromium");
        return;
    };
    let collector = edges::collector().await;
    let (_status, _kept, html) = letter(&collector, "last=2h&metric=https.tcp").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("letter.html");
    std::fs::write(&file, &html).unwrap();
    let printed = chromium.print(&format!("file://{}", file.display()), "letter").await;
    assert!(printed.starts_with(b"%PDF"), "{} bytes", printed.len());
    assert!((2..=6).contains(&pages(&printed)), "{} pages", pages(&printed));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_about_nobody_says_who_is_there() {
    let collector = seeded_collector().await;
    let (status, _kept, said) = letter(&collector, "provider=Boralis&days=all").await;
    assert!(
        status == 422 && said.contains("did you mean `Borealis`") && said.contains("`days` is not"),
        "{said}"
    );
    collector.stop().await;
}
