//! The page: what it shows, what it says when there is nothing, and that a real browser finds no fault with it.

mod alerts;
mod kept;
mod numbers;
mod registry;
mod reports;

use crate::{
    availability::{busy_evenings, two_hours},
    collector::Collector,
    comparisons,
    seeded::seeded_collector,
};
use peerlight_browser::{
    axe,
    chromium::Chromium,
    door::{FAULTY, FrontDoor, Script},
};
use peerlight_collector::{cli::Cli, report::render::figure};
use reqwest::{Method, Response};
use serde_json::Value;
use std::path::Path;

/// Every page, as it is looked at.
const PAGES: [(&str, &str); 15] = [
    ("/?last=1h", "overview"),
    ("/latency?by=provider,location", "latency"),
    ("/compare", "compare"),
    ("/series", "series"),
    ("/series?provider=Borealis&location=FR-IDF", "lossy-series"),
    ("/availability", "availability"),
    ("/time-of-day", "time-of-day"),
    ("/sites", "sites"),
    ("/targets", "targets"),
    ("/alerts", "alerts"),
    ("/edges", "edges"),
    ("/map?last=2h", "map"),
    ("/provider?last=2h", "provider"),
    ("/registry", "registry"),
    ("/audit", "audit"),
];
/// Ten minutes of which one agent measured nothing.
const SILENCE: &str = "/latency?from=1789997600&to=1789998100&by=provider,location";

async fn open(collector: &Collector, path: &str) -> Response {
    collector.operator(Method::GET, path).header("accept", "text/html").send().await.unwrap()
}

#[tokio::test]
async fn the_page_shows_every_provider_as_figures_and_as_a_chart() {
    let collector = seeded_collector().await;
    let page = open(&collector, "/latency").await;
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
    collector.stop().await;
}

#[tokio::test]
async fn names_lead_to_a_narrower_question_and_filters_lead_back() {
    let collector = seeded_collector().await;
    let html = open(&collector, "/latency").await.text().await.unwrap();
    let narrower = "/latency?last=1h&#38;by=provider%2Clocation&#38;metric=tcp.connect&#38;provider=Borealis";
    assert!(html.contains(narrower), "{html}");
    let html = open(&collector, &narrower.replace("&#38;", "&")).await.text().await.unwrap();
    assert!(
        html.contains("DE-BE")
            && !html.contains("<th scope=\"row\"><a href=\"/latency?last=1h&#38;by=provider%2Clocation&#38;metric=tcp.connect&#38;provider=Aurora")
            && html.contains("<option value=\"Borealis\" selected>"),
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
        let page = open(&collector, &format!("/latency?{query}")).await;
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

/// What pages tell people to type.
fn commands(html: &str) -> Vec<String> {
    let codes = html.split("<code>").skip(1).filter_map(|rest| rest.split("</code>").next());
    codes.map(|code| code.replace("<span>", "").replace("</span>", "")).collect()
}

#[tokio::test]
async fn what_pages_tell_people_to_type_can_be_typed() {
    let collector = Collector::start().await;
    let mut told = commands(&open(&collector, "/").await.text().await.unwrap());
    collector.token("london-1").await;
    told.extend(commands(&open(&collector, "/").await.text().await.unwrap()));
    let refused = collector
        .anonymous(Method::POST, "/sign-in")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", format!("http://{}", collector.operators))
        .body("token=nonsense");
    told.extend(commands(&refused.send().await.unwrap().text().await.unwrap()));
    let ours: Vec<_> = told.iter().filter(|command| command.starts_with("peerlight-collector ")).collect();
    assert!(ours.len() >= 7, "{told:?}");
    for command in ours {
        // Names in quotation marks are one word.
        let words = command.split('"').enumerate().flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        let parsed = <Cli as clap::Parser>::try_parse_from(words);
        assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
    }
    collector.stop().await;
}

#[tokio::test]
async fn the_sign_in_page_is_dressed_and_says_what_is_wrong_and_where_a_token_is() {
    let collector = Collector::start().await;
    let html = collector.anonymous(Method::GET, "/sign-in").send().await.unwrap().text().await.unwrap();
    let style = html.split('"').find(|part| part.starts_with("/assets/peerlight-")).unwrap();
    assert_eq!(collector.anonymous(Method::GET, style).send().await.unwrap().status(), 200);
    assert!(html.contains("<label for=\"token\">") && html.contains("operator.token"), "{html}");
    assert!(!html.contains("role=\"alert\""), "{html}");
    collector.stop().await;
}

#[tokio::test]
async fn the_table_beside_a_chart_holds_every_figure_of_it() {
    let collector = seeded_collector().await;
    let html = open(&collector, "/latency?last=1h&by=provider").await.text().await.unwrap();
    let path = "/api/v1/reports/latency?last=1h&by=provider&metric=tcp.connect&step=1m";
    let report: Value = collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap();
    let charts: Vec<&str> = html.split("<figure class=\"card chart\">").skip(1).collect();
    assert_eq!(charts.len(), 2);
    let mut compared = 0;
    for chart in charts {
        let provider = chart.split("-caption\">").nth(1).unwrap().split('<').next().unwrap();
        let rows = report["rows"].as_array().unwrap().iter();
        for row in rows.filter(|row| row["provider"] == provider) {
            let slot = row["slot"].as_str().unwrap();
            let line = chart.split("<tr>").find(|line| line.contains(&format!("datetime=\"{slot}"))).unwrap();
            let told: Vec<&str> =
                line.split("<td class=\"n\">").skip(1).map(|cell| cell.split('<').next().unwrap()).collect();
            let latency = |name: &str| row["latency_ms"][name].as_f64().map_or("–".to_owned(), figure::ms);
            let loss = row["loss"]["value"].as_f64().map_or("–".to_owned(), figure::percent);
            assert_eq!(
                told,
                [latency("p50"), latency("p95"), loss, row["sent"].to_string()],
                "{provider} {slot}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 110, "{compared} slots");
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
async fn chromium_loads_the_page_renews_it_and_has_nothing_to_complain_of() {
    let Some(chromium) = Chromium::find() else {
        eprintln!("skipped: no Chromium");
        return;
    };
    let collector = seeded_collector().await;
    let door = FrontDoor::open(collector.operators, collector.operator_token()).await;
    let faulty = chromium.dump(&door.url(FAULTY), 1_000).await;
    assert!(faulty.complaints.len() >= 2, "it must see what is wrong: {:?}", faulty.complaints);
    let visit = chromium.dump(&door.url("/latency?by=provider,location"), 25_000).await;
    for part in [
        "<table class=\"figures\">",
        "Aurora Networks",
        "viewBox=\"0 0 480 268\"",
        "<path class=\"p95\"",
        "id=\"chart-0-table\"",
    ] {
        assert!(visit.document.contains(part), "{part} is not in:\n{}", visit.document);
    }
    assert!(visit.complaints.is_empty(), "{:?}", visit.complaints);
    assert!(door.renewals() >= 2, "the script renewed the page {} times", door.renewals());
    assert!(visit.document.contains("<p id=\"live-state\" role=\"status\"></p>"), "{}", visit.document);
    let sign_in = chromium.dump(&door.url("/sign-in"), 1_000).await;
    assert!(sign_in.complaints.is_empty(), "{:?}", sign_in.complaints);
    for (path, of) in PAGES {
        let visit = chromium.dump(&door.url(path), 1_000).await;
        assert!(visit.complaints.is_empty(), "{path}: {:?}", visit.complaints);
        chromium.photograph_all(&door, path, of).await;
    }
    chromium.photograph_all(&door, SILENCE, "silent").await;
    chromium.photograph_all(&door, "/latency?by=city&last=ages", "problem").await;
    chromium.photograph_all(&door, "/nowhere", "nowhere").await;
    chromium.photograph_all(&door, "/sign-in", "sign-in").await;
    collector.stop().await;
    let firing = crate::alerts::outage().await;
    let one = firing.operator(Method::GET, "/api/v1/alerts").send().await.unwrap();
    let one = one.json::<Value>().await.unwrap()["items"][0]["id"].as_u64().unwrap();
    let one = format!("/alerts/{one}");
    for (filled, path, of) in [
        (crate::alerts::outage().await, "/alerts", "firing"),
        (firing, one.as_str(), "one-alert"),
        (crate::edges::collector().await, "/edges?last=2h", "doors"),
        (two_hours().await, "/map?last=3h", "map-outage"),
        (
            comparisons::a_week(&comparisons::SITES).await,
            "/provider?provider=Aurora+Networks",
            "provider-week",
        ),
        (Collector::start().await, "/", "empty"),
        (comparisons::a_week(&comparisons::SITES).await, "/compare", "verdicts"),
        (two_hours().await, "/availability?last=3h", "outage"),
        (busy_evenings().await, "/time-of-day", "busy"),
    ] {
        let door = FrontDoor::open(filled.operators, filled.operator_token()).await;
        let visit = chromium.dump(&door.url(path), 1_000).await;
        assert!(visit.complaints.is_empty(), "{path}: {:?}", visit.complaints);
        chromium.photograph_all(&door, path, of).await;
        filled.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_serious_on_any_page() {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (Some(chromium), scripts) = (Chromium::find(), axe::scripts(kept)) else {
        eprintln!("skipped: no Chromium");
        return;
    };
    let scripts = match scripts {
        Ok(scripts) => scripts,
        Err(why) => {
            eprintln!("skipped: no axe-core: {why}");
            return;
        }
    };
    let collector = seeded_collector().await;
    let door = FrontDoor::with_scripts(collector.operators, collector.operator_token(), scripts).await;
    let others = [("/latency?last=ages", ""), ("/nowhere", ""), ("/sign-in", "")];
    for (path, _) in PAGES.into_iter().chain(others) {
        axe::finds_nothing(&chromium, &door, path).await;
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_looks_at_slots_moves_by_keys_and_marks_a_span() {
    let Some(chromium) = Chromium::find() else {
        eprintln!("skipped: no Chromium");
        return;
    };
    let collector = seeded_collector().await;
    let script = Script { name: "drive.js", text: include_str!("dashboard/drive.js").to_owned() };
    let door = FrontDoor::with_scripts(collector.operators, collector.operator_token(), vec![script]).await;
    let visit = chromium.dump(&door.url("/series"), 10_000).await;
    let seen: Value = serde_json::from_str(&visit.left("drive-result").unwrap()).unwrap();
    // Both providers' charts show the slot; the browser's own titles have made way.
    assert_eq!((seen["linked"].as_u64(), seen["titles"].as_u64()), (Some(2), Some(0)), "{seen}");
    let (hovered, stepped) = (seen["hovered"].as_str().unwrap(), seen["stepped"].as_str().unwrap());
    assert!(hovered.contains("p50") && stepped.contains("p50") && hovered != stepped, "{seen}");
    // Eleven slots of a minute.
    let spans: Vec<_> = visit.document.split("name=\"from\" size=\"20\"").skip(1).collect();
    assert!(
        spans.len() == 1 && visit.document.contains("2026-09-21T13:23:00Z to 2026-09-21T13:34:00Z"),
        "{}",
        visit.document
    );
    assert!(visit.complaints.is_empty(), "{:?}", visit.complaints);
    collector.stop().await;
}
