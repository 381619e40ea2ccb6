//! `/api/v1/reports/availability` and `/api/v1/reports/time-of-day`: agents push what happened, and API, CSV, NDJSON and the
//! command line tell it, each the same.

use crate::{
    collector::{Collector, NOON, problem},
    command::WIDE,
    seeded::{add_places, enrolled, measurement, push, series},
};
use peerlight_collector::report::{
    NoLoss, Report,
    availability::{AvailabilityReport, GapKind},
    render::{availability, ndjson, time_of_day},
    time_of_day::TimeOfDayReport,
};
use peerlight_proto::{
    measurement::Measurement,
    metric::Metric,
    series::Series,
    time::{Interval, IntervalLength, Timestamp},
};
use reqwest::{Method, Response};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

const AVAILABILITY: &str = "/api/v1/reports/availability";
const TIME_OF_DAY: &str = "/api/v1/reports/time-of-day";
const LOCATIONS: [(&str, &str); 2] = [("GB-LND", "Europe/London"), ("IN-MH", "Asia/Kolkata")];
const MINUTES: u64 = 120;

async fn ask(collector: &Collector, path: &str, query: &str) -> Response {
    collector.operator(Method::GET, &format!("{path}?{query}")).send().await.unwrap()
}

async fn text(collector: &Collector, path: &str, query: &str, accept: &str) -> String {
    let request = collector.operator(Method::GET, &format!("{path}?{query}")).header("accept", accept);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(accept));
    answer.text().await.unwrap()
}

async fn print(collector: &Collector, arguments: &str) -> String {
    let words = std::iter::once("report").chain(arguments.split(' '));
    collector.command(words, WIDE).await.unwrap().text()
}

/// The first of the minutes that are measured.
fn first() -> Timestamp {
    Interval::containing(NOON.minus(Duration::from_mins(MINUTES + 5)), IntervalLength::MINUTE).start()
}

/// What a site measured by one metric, minute by minute: `a`nswered, `u`nanswered, `-` nothing. The last letter goes on.
fn course(site: usize, at: u32, metric: Metric, text: &str) -> (Series, Vec<Measurement>) {
    let on = text.chars().last().unwrap();
    let letters = text.chars().chain(std::iter::repeat(on)).zip(0..MINUTES);
    let minutes = letters.filter(|(letter, _)| *letter != '-').map(|(letter, minute)| {
        let start = first().plus(Duration::from_mins(minute));
        let interval = Interval::containing(start, IntervalLength::MINUTE);
        let (answered, lost) = if letter == 'a' { (6, 0) } else { (0, 6) };
        measurement(site, at, interval, std::iter::repeat_n(9_000, answered), lost)
    });
    let mut series = series(site, metric, "exchange-online");
    if metric == Metric::IcmpRtt {
        let target =
            peerlight_proto::target::Target { probe: "icmp".parse().unwrap(), ..(*series.target).clone() };
        (series.key.target, series.target) = (target.id(), Arc::new(target));
    }
    (series, minutes.collect())
}

/// Aurora's line fails for nine minutes and its target never answers ICMP; Borealis' agent sleeps for half an hour.
pub(crate) async fn two_hours() -> Collector {
    let collector = Collector::start().await;
    add_places(&collector, &LOCATIONS).await;
    let out = format!("{}{}a", "a".repeat(40), "u".repeat(9));
    let asleep = format!("{}{}a", "a".repeat(40), "-".repeat(30));
    for (site, provider, icmp, tcp) in [(0, "Aurora Networks", "u", out), (1, "Borealis", "a", asleep)] {
        let agent = enrolled(&collector, site, provider, "GB-LND").await;
        let (one, mut measured) = course(site, 0, Metric::TcpConnect, &tcp);
        let (other, echoes) = course(site, 1, Metric::IcmpRtt, icmp);
        measured.extend(echoes);
        // A batch covers an hour at most.
        let half = first().plus(Duration::from_mins(MINUTES / 2));
        let (early, late) = measured.into_iter().partition(|one| one.interval.start() < half);
        push(&agent, 0, vec![one.clone(), other.clone()], early).await;
        push(&agent, 1, vec![one, other], late).await;
    }
    collector
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_from_a_sleeping_agent_and_from_a_target_that_answers_no_icmp() {
    let collector = two_hours().await;
    let report: AvailabilityReport = ask(&collector, AVAILABILITY, "last=2h").await.json().await.unwrap();
    let row = |provider: &str, metric: Metric| {
        let mut rows = report.rows.iter();
        rows.find(|row| row.group.provider.as_deref() == Some(provider) && row.metric == metric).unwrap()
    };
    let out = row("Aurora Networks", Metric::TcpConnect);
    let [outage] = out.outages.as_slice() else { panic!("{out:?}") };
    assert_eq!((outage.from.since(first()).as_secs() / 60, outage.seconds / 60), (40, 9));
    assert_eq!((outage.start_known, outage.end_known, outage.ongoing), (true, true, false));
    assert_eq!((outage.agents_affected, outage.agents_measuring, outage.unanswered), (1, 1, 54));
    let asleep = row("Borealis", Metric::TcpConnect);
    assert_eq!((asleep.outage_count, asleep.availability.map(|share| share.value)), (0, Some(1.0)));
    assert!(
        asleep.gaps.iter().any(|gap| gap.kind == GapKind::Silent && gap.seconds == 30 * 60),
        "{asleep:?}"
    );
    let silent = row("Aurora Networks", Metric::IcmpRtt);
    assert_eq!((silent.availability, silent.outage_count), (None, 0));
    assert_eq!(silent.no_availability_because, Some(NoLoss::IcmpSilent));

    // The same target in the report of latency, and in that of all targets together.
    for by in ["provider,target", "provider"] {
        let latency = format!("last=3h&by={by}&metric=icmp.rtt");
        let latency: Report =
            ask(&collector, "/api/v1/reports/latency", &latency).await.json().await.unwrap();
        let [silent, answers] = latency.rows.as_slice() else { panic!("{latency:?}") };
        assert_eq!((silent.loss, silent.no_loss_because), (None, Some(NoLoss::IcmpSilent)));
        assert_eq!((silent.lost, silent.icmp_silent, silent.sent), (0, 720, 720));
        assert_eq!((answers.icmp_silent, answers.loss.map(|loss| loss.value)), (0, Some(0.0)));
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_availability_says_the_same() {
    let collector = two_hours().await;
    let report: AvailabilityReport = ask(&collector, AVAILABILITY, "last=2h").await.json().await.unwrap();
    let printed = print(&collector, "availability --last 2h").await;
    assert_eq!(printed.trim_end(), availability::table::render(&report, Some(160)).trim_end());
    insta::assert_snapshot!(printed);
    let json: Value =
        serde_json::from_str(&print(&collector, "availability --last 2h --format json").await).unwrap();
    assert_eq!(json, serde_json::to_value(&report).unwrap());
    let csv = text(&collector, AVAILABILITY, "last=2h", "text/csv").await;
    assert_eq!(csv, availability::csv::render(&report).unwrap());
    assert_eq!(print(&collector, "availability --last 2h --format csv").await.trim_end(), csv.trim_end());
    let lines = text(&collector, AVAILABILITY, "last=2h", "application/x-ndjson").await;
    assert_eq!(lines, ndjson::availability(&report).unwrap());
    assert_eq!((lines.lines().count(), report.rows.len()), (4, 4));
    assert_eq!(
        print(&collector, "availability --last 2h --format ndjson").await.trim_end(),
        lines.trim_end()
    );
    let aurora =
        print(&collector, "availability --last 2h --provider Borealis --metric tcp.connect --by site").await;
    assert!(aurora.contains("site-1") && !aurora.contains("Outage:"), "{aurora}");
    collector.stop().await;
}

/// Two weeks in which a site at Mumbai is slow each evening.
pub(crate) async fn busy_evenings() -> Collector {
    let collector = Collector::start().await;
    add_places(&collector, &LOCATIONS).await;
    let agent = enrolled(&collector, 0, "Borealis", "IN-MH").await;
    for day in 1..14 {
        let midnight =
            Timestamp::from_secs(NOON.as_secs() / 86_400 * 86_400).minus(Duration::from_hours(24 * day));
        // Half past two in the afternoon of UTC is eight in the evening at Mumbai; half past ten at night is four.
        let of = |minutes: u64, ms: u64| {
            (0..4).map(move |quarter| {
                let start = midnight.plus(Duration::from_mins(minutes + 15 * quarter));
                let interval = Interval::containing(start, IntervalLength::QUARTER_HOUR);
                measurement(0, 0, interval, std::iter::repeat_n(ms * 1_000, 20), 0)
            })
        };
        let series = || vec![series(0, Metric::TcpConnect, "exchange-online")];
        push(&agent, 2 * day, series(), of(14 * 60 + 30, 60 + day % 3).collect()).await;
        push(&agent, 2 * day + 1, series(), of(22 * 60 + 30, 20).collect()).await;
    }
    collector
}

#[tokio::test(flavor = "multi_thread")]
async fn the_busy_hour_at_a_location_is_found_by_its_own_clock() {
    let collector = busy_evenings().await;
    let report: TimeOfDayReport = ask(&collector, TIME_OF_DAY, "last=14d").await.json().await.unwrap();
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!(
        (&*row.time_zone, row.hours.iter().map(|of| of.hour).collect::<Vec<_>>()),
        ("Asia/Kolkata", vec![4, 20])
    );
    let found = row.busy_quiet.unwrap();
    let difference = found.difference_ms.unwrap();
    assert_eq!((found.busy_hour, found.quiet_hour), (20, 4));
    assert!(difference.low >= 39.0 && difference.high <= 43.0 && difference.confidence >= 0.95, "{found:?}");

    let printed = print(&collector, "time-of-day --last 14d").await;
    assert_eq!(printed.trim_end(), time_of_day::table::render(&report, Some(160)).trim_end());
    insta::assert_snapshot!(printed);
    let csv = text(&collector, TIME_OF_DAY, "last=14d", "text/csv").await;
    assert_eq!(csv, time_of_day::csv::render(&report).unwrap());
    assert_eq!(print(&collector, "time-of-day --last 14d --format csv").await.trim_end(), csv.trim_end());
    let lines = text(&collector, TIME_OF_DAY, "last=14d", "application/x-ndjson").await;
    assert_eq!(lines, ndjson::time_of_day(&report).unwrap());
    let apart = print(&collector, "time-of-day --last 14d --days apart --format ndjson").await;
    let days: Vec<Value> = apart.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let days: Vec<_> =
        days.iter().map(|line| (line["days"].as_str().unwrap(), line["hour"].as_u64().unwrap())).collect();
    assert_eq!(days, [("weekdays", 4), ("weekdays", 20), ("weekends", 4), ("weekends", 20)]);
    collector.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said_at_once_and_names_what_is_there() {
    let collector = Collector::start().await;
    add_places(&collector, &LOCATIONS[..1]).await;
    enrolled(&collector, 0, "Borealis", "GB-LND").await;
    for (path, query) in [
        (AVAILABILITY, "provider=Boralis&last=200d&metric=ping&by=prefix&step=1m&format=xml"),
        (TIME_OF_DAY, "provider=Boralis&last=200d&metric=ping&days=some&step=1m&format=xml"),
    ] {
        let answer = ask(&collector, path, query).await;
        assert_eq!(answer.status(), 422);
        let body: Value = answer.json().await.unwrap();
        let errors: Vec<&str> = body["errors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for wrong in [
            "`step` is not a parameter",
            "`ping` is not a metric",
            "did you mean `Borealis`",
            "format: write",
            "are kept for 100d",
        ] {
            assert!(errors.iter().any(|error| error.contains(wrong)), "{wrong}: {errors:#?}");
        }
        let nobody = collector.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(problem(nobody).await, (401, "sign-in-required".into()));
    }
    collector.stop().await;
}
