//! `/api/v1/reports/compare` and `report compare`: agents push a week, and the verdicts are what the week was.

use crate::{
    collector::{Collector, NOON, problem},
    command::WIDE,
    seeded::{add_places, enrolled, measurement, push, series},
};
use peerlight_collector::report::{
    Report,
    compare::{Comparison, Judgement, Reason, Verdict},
    render::comparison::{csv, table},
};
use peerlight_proto::{
    metric::Metric,
    time::{Interval, IntervalLength},
};
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;

const PATH: &str = "/api/v1/reports/compare";
const BOTH: &str = "providers=Aurora+Networks,Borealis";
const DAYS: u64 = 7;

/// What a site of a provider measured at a location each day, in four quarter hours.
pub(crate) struct Site {
    provider: &'static str,
    location: &'static str,
    target: &'static str,
    /// On how many days, counted back from the last.
    days: u64,
    ms: fn(u64) -> u64,
    answered: usize,
    lost: u64,
}

const AURORA: Site = Site {
    provider: "Aurora Networks",
    location: "",
    target: "exchange-online",
    days: DAYS,
    ms: |_day| 10,
    answered: 12,
    lost: 0,
};
const BOREALIS: Site = Site { provider: "Borealis", ..AURORA };

/// Aurora wins at both of the first two places, though most of what it measured was at the far one.
pub(crate) const SITES: [Site; 14] = [
    Site { location: "GB-LND", ms: |_day| 10, ..AURORA },
    Site { location: "GB-LND", ms: |_day| 14, answered: 90, ..BOREALIS },
    Site { location: "US-WA", ms: |_day| 80, answered: 90, ..AURORA },
    Site { location: "US-WA", ms: |_day| 100, ..BOREALIS },
    Site { location: "DE-BE", ms: |_day| 20, ..AURORA },
    Site { location: "DE-BE", ms: |_day| 5, lost: 18, ..BOREALIS },
    Site { location: "FR-IDF", ms: |_day| 20, days: 5, ..AURORA },
    Site { location: "FR-IDF", ms: |_day| 30, days: 5, ..BOREALIS },
    Site { location: "JP-13", target: "teams", ..AURORA },
    Site { location: "JP-13", ..BOREALIS },
    Site { location: "IN-MH", ms: |day| if day.is_multiple_of(2) { 30 } else { 50 }, ..AURORA },
    Site { location: "IN-MH", ms: |_day| 40, ..BOREALIS },
    Site { location: "BR-SP", ms: |_day| 60, ..AURORA },
    Site { location: "AU-NSW", ms: |_day| 70, ..BOREALIS },
];

const LOCATIONS: [(&str, &str); 8] = [
    ("GB-LND", "Europe/London"),
    ("US-WA", "America/Los_Angeles"),
    ("DE-BE", "Europe/Berlin"),
    ("FR-IDF", "Europe/Paris"),
    ("JP-13", "Asia/Tokyo"),
    ("IN-MH", "Asia/Kolkata"),
    ("BR-SP", "America/Sao_Paulo"),
    ("AU-NSW", "Australia/Sydney"),
];

pub(crate) async fn a_week(sites: &[Site]) -> Collector {
    let collector = Collector::start().await;
    add_places(&collector, &LOCATIONS).await;
    for (index, site) in sites.iter().enumerate() {
        let agent = enrolled(&collector, index, site.provider, site.location).await;
        for day in 0..site.days {
            let values = vec![(site.ms)(day) * 1_000; site.answered];
            let quarters = (2..6).map(|quarter| {
                let start = NOON.minus(Duration::from_hours(24 * day) + Duration::from_mins(15 * quarter));
                let interval = Interval::containing(start, IntervalLength::QUARTER_HOUR);
                measurement(index, 0, interval, values.iter().copied(), site.lost)
            });
            push(&agent, day, vec![series(index, Metric::TcpConnect, site.target)], quarters.collect()).await;
        }
    }
    collector
}

async fn ask(collector: &Collector, query: &str) -> Response {
    collector.operator(Method::GET, &format!("{PATH}?{query}")).send().await.unwrap()
}

async fn compare(collector: &Collector, query: &str) -> Comparison {
    let answer = ask(collector, query).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn print(collector: &Collector, arguments: &[&str]) -> String {
    let words = ["report", "compare"].iter().chain(arguments).copied();
    collector.command(words, WIDE).await.unwrap().text()
}

fn verdict(judgement: &Judgement) -> (Verdict, Option<Reason>) {
    (judgement.verdict, judgement.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wins_in_every_state_wins_though_it_loses_when_all_is_pooled() {
    let collector = a_week(&SITES[..4]).await;
    let states = "location=GB-LND&location=US-WA";
    let latency = format!("/api/v1/reports/latency?last=7d&metric=tcp.connect&{states}");
    let pooled: Report =
        collector.operator(Method::GET, &latency).send().await.unwrap().json().await.unwrap();
    let [aurora, borealis] = pooled.rows.as_slice() else { panic!("{pooled:?}") };
    assert!(aurora.latency_ms.p50 > Some(5.0 * borealis.latency_ms.p50.unwrap()), "Aurora loses when pooled");
    let comparison = compare(&collector, &format!("{BOTH}&{states}")).await;
    let [by_connect] = comparison.metrics.as_slice() else { panic!("{comparison:?}") };
    let verdicts: Vec<_> =
        by_connect.locations.iter().map(|place| (&*place.location, place.judgement.verdict)).collect();
    assert_eq!(verdicts, [("GB-LND", Verdict::Better), ("US-WA", Verdict::Better)]);
    let shift = by_connect.overall.shift_ms.unwrap();
    assert_eq!((by_connect.overall.verdict, by_connect.overall.days), (Verdict::Better, 7));
    assert_eq!((shift.value.round(), shift.low.round(), shift.high.round()), (-12.0, -12.0, -12.0));
    let mirrored = compare(&collector, &format!("providers=borealis,aurora+networks&{states}")).await;
    assert_eq!((&*mirrored.provider, &*mirrored.against), ("Borealis", "Aurora Networks"));
    assert_eq!(mirrored.metrics[0].overall.verdict, Verdict::Worse);
    assert_eq!(mirrored.metrics[0].overall.shift_ms.map(|shift| shift.value), Some(-shift.value));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_and_command_line_say_the_same_of_every_state() {
    let collector = a_week(&SITES).await;
    let comparison = compare(&collector, BOTH).await;
    let by_connect = &comparison.metrics[0];
    let place = |location: &str| {
        let found = by_connect.locations.iter().find(|place| place.location == location);
        &found.unwrap_or_else(|| panic!("{location}")).judgement
    };
    let insufficient = |reason| (Verdict::InsufficientData, Some(reason));
    assert_eq!(verdict(place("DE-BE")), (Verdict::Better, None), "a lost probe is slower than any other");
    assert_eq!(place("DE-BE").against.censored_cells, 28);
    assert_eq!(verdict(place("FR-IDF")), insufficient(Reason::TooFewDays));
    assert_eq!(verdict(place("JP-13")), insufficient(Reason::NoMatchedCells));
    assert_eq!(verdict(place("IN-MH")), insufficient(Reason::Undecided));
    let apart: Vec<_> = by_connect.apart.iter().map(|one| (&*one.provider, &*one.location)).collect();
    assert_eq!(apart, [("Aurora Networks", "BR-SP"), ("Borealis", "AU-NSW")]);
    let nowhere = compare(&collector, &format!("{BOTH}&location=AU&location=BR-SP")).await;
    assert_eq!(verdict(&nowhere.metrics[0].overall), insufficient(Reason::NoCommonLocation));
    assert_eq!((nowhere.metrics[0].locations.len(), nowhere.metrics[0].apart.len()), (0, 2));

    let both = ["--providers", "Aurora Networks,Borealis"];
    let printed = print(&collector, &both).await;
    assert_eq!(printed.trim_end(), table::render(&comparison, Some(160)).trim_end());
    insta::assert_snapshot!(printed);
    let json: Value =
        serde_json::from_str(&print(&collector, &[both[0], both[1], "--format", "json"]).await).unwrap();
    let answer: Value = ask(&collector, BOTH).await.json().await.unwrap();
    assert_eq!(json, answer);
    let text = print(&collector, &[both[0], both[1], "--format", "csv"]).await;
    assert_eq!(text.trim_end(), csv::render(&comparison).unwrap().trim_end());
    let by_accept = collector.operator(Method::GET, &format!("{PATH}?{BOTH}")).header("accept", "text/csv");
    assert_eq!(by_accept.send().await.unwrap().text().await.unwrap().trim_end(), text.trim_end());
    let arguments =
        ["--providers", "Aurora Networks", "--providers", "Borealis", "--threshold", "50ms", "--last", "10d"];
    assert!(print(&collector, &arguments).await.contains("no difference"));
    collector.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_comparison_is_said_at_once_and_names_what_is_there() {
    let collector = Collector::start().await;
    add_places(&collector, &LOCATIONS[..1]).await;
    enrolled(&collector, 0, "Borealis", "GB-LND").await;
    let everything =
        "providers=Boralis,Aurora&last=200d&metric=ping&threshold=some&by=site&format=xml&location=FR";
    let answer = ask(&collector, everything).await;
    assert_eq!(answer.status(), 422);
    let body: Value = answer.json().await.unwrap();
    let errors: Vec<&str> = body["errors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    insta::assert_snapshot!(errors.join("\n"));
    assert_eq!(problem(ask(&collector, "").await).await, (422, "invalid".into()));
    let nobody = collector.anonymous(Method::GET, PATH).send().await.unwrap();
    assert_eq!(problem(nobody).await, (401, "sign-in-required".into()));
    collector.stop().await;
}
