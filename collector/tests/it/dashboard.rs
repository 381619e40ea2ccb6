//! The page: what it shows, what it says when there is nothing, and that a real browser finds no fault with it.

mod chromium;

use crate::{collector::Collector, seeded::seeded_collector};
use chromium::{Chromium, FrontDoor};
use reqwest::{Method, Response};

async fn open(collector: &Collector, path: &str) -> Response {
    collector.operator(Method::GET, path).header("accept", "text/html").send().await.unwrap()
}

#[tokio::test]
async fn the_page_shows_every_provider_as_figures_and_as_a_chart() {
    let collector = seeded_collector().await;
    let page = open(&collector, "/").await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    for part in [
        "tcp.connect",
        "Aurora Networks",
        "Borealis",
        "<title id=\"chart-1-title\">",
        "measured until",
        "class=\"band\"",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // Nothing that the policy would refuse.
    for inline in [" style=", "<style", "javascript:", " onclick"] {
        assert!(!html.contains(inline), "{inline}");
    }
    let fragment = open(&collector, "/?fragment=1").await.text().await.unwrap();
    assert!(!fragment.contains("<html") && html.contains(fragment.trim()), "the renewed part is the page's");
    collector.stop().await;
}

#[tokio::test]
async fn names_lead_to_a_narrower_question_and_filters_lead_back() {
    let collector = seeded_collector().await;
    let html = open(&collector, "/").await.text().await.unwrap();
    let narrower = "/?last=1h&#38;by=provider%2Clocation&#38;metric=tcp.connect&#38;provider=Borealis";
    assert!(html.contains(narrower), "{html}");
    let html = open(&collector, &narrower.replace("&#38;", "&")).await.text().await.unwrap();
    assert!(
        html.contains("DE-BE") && !html.contains("Aurora") && html.contains("Remove this filter"),
        "{html}"
    );
    collector.stop().await;
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_shows_what_is_wrong() {
    let collector = seeded_collector().await;
    for (query, words) in [
        ("last=ages", "is not a length of time"),
        ("provider=%3Cscript%3E", "there is no provider `&#60;script&#62;`"),
    ] {
        let page = open(&collector, &format!("/?{query}")).await;
        assert_eq!(page.status(), 422);
        let html = page.text().await.unwrap();
        assert!(html.contains(words) && html.contains("role=\"alert\""), "{html}");
    }
    collector.stop().await;
}

#[tokio::test]
async fn an_empty_collector_says_what_to_do_first() {
    let collector = Collector::start().await;
    let html = open(&collector, "/").await.text().await.unwrap();
    assert!(html.contains("No site is registered yet"), "{html}");
    collector.token("london-1").await;
    let html = open(&collector, "/").await.text().await.unwrap();
    assert!(html.contains("No agent has measured anything yet"), "{html}");
    collector.stop().await;
}

#[tokio::test]
async fn assets_are_kept_for_ever_and_belong_to_nobody() {
    let collector = seeded_collector().await;
    let html = open(&collector, "/").await.text().await.unwrap();
    let paths: Vec<&str> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(paths.len() >= 3, "{paths:?}");
    for path in paths {
        let asset = collector.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(asset.status(), 200, "{path}");
        assert!(asset.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    }
    assert_eq!(collector.anonymous(Method::GET, "/assets/other.js").send().await.unwrap().status(), 404);
    let signed_out =
        collector.anonymous(Method::GET, "/").header("accept", "text/html").send().await.unwrap();
    assert_eq!(signed_out.headers()["location"], "/sign-in?next=%2F");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_draws_the_page_renews_it_and_has_nothing_to_complain_of() {
    let Some(chromium) = Chromium::find() else {
        eprintln!("skipped: no Chromium");
        return;
    };
    let collector = seeded_collector().await;
    let door = FrontDoor::open(collector.operators, collector.operator_token()).await;
    let visit = chromium.dump(&door.url("/?by=provider,location"), 25_000).await;
    for part in [
        "<table class=\"figures\">",
        "Aurora Networks",
        "<svg viewBox=\"0 0 480 268\"",
        "<path class=\"p95\"",
        "id=\"chart-0-table\"",
    ] {
        assert!(visit.document.contains(part), "{part} is not in:\n{}", visit.document);
    }
    assert!(visit.complaints.is_empty(), "{:?}", visit.complaints);
    assert!(door.renewals() >= 2, "the script renewed the page {} times", door.renewals());
    assert!(visit.document.contains("<p id=\"live-state\" role=\"status\"></p>"), "{}", visit.document);
    chromium.photograph_all(&door, "/?by=provider,location", "figures").await;
    chromium.photograph_all(&door, "/?by=city&last=ages", "problem").await;
    collector.stop().await;
}
