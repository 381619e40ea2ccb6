use super::*;
use crate::{
    organisation::OrganisationId,
    report::{
        Dimension, Question,
        fixture::{self, registration, row as measured},
    },
};
use peerlight_proto::{
    series::{Series, SeriesKey},
    target::Target,
};

/// Round trips of a metric to a host.
fn to(host: &str, metric: Metric) -> Series {
    let series = fixture::series(metric, "host");
    let target = Target { address: host.parse().unwrap(), ..(*series.target).clone() };
    let key = SeriesKey { target: target.id(), ..series.key };
    Series { key, target: target.into(), ..series }
}

/// What the yardsticks say, by their names.
fn told(rows: &[fixture::Measured]) -> Vec<YardstickRow> {
    let now = Timestamp::from_secs(3_600);
    let question = Question {
        from: Timestamp::from_secs(0),
        by: vec![Dimension::Site, Dimension::Target],
        ..Question::new(OrganisationId::DEFAULT, now)
    };
    let registrations = [registration(1, "Aurora", "GB-LND")];
    let evidence = fixture::Evidence { rows, registrations: &registrations, ..fixture::Evidence::default() };
    yardsticks(fixture::answer(&question, &evidence, now)).rows
}

#[test]
fn exchange_has_points_for_the_median_of_its_connects() {
    let of = |ms: u64| {
        let rows =
            told(&[measured(1, &to("outlook.office365.com", Metric::TcpConnect), &[ms * 1_000; 30], 0)]);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        (row.yardstick, row.result, row.points.unwrap().round())
    };
    assert_eq!(of(10), (Yardstick::ExchangeTcp, Some(YardstickResult::Pass), 100.0));
    assert_eq!(of(24), (Yardstick::ExchangeTcp, Some(YardstickResult::Pass), 81.0));
    assert_eq!(of(100), (Yardstick::ExchangeTcp, Some(YardstickResult::Fail), 60.0));
}

#[test]
fn teams_passes_below_its_thresholds_and_not_at_them() {
    use Yardstick::{TeamsJitter, TeamsLatency, TeamsLoss};
    use YardstickResult::{Fail, Pass};
    let result = |rtt_ms: u64, jitter_ms: u64, lost: u64| {
        let relay = |metric| to("world.tr.teams.microsoft.com", metric);
        let jitter = Metric::IcmpRtt.jitter().unwrap();
        let rows = told(&[
            measured(1, &relay(Metric::IcmpRtt), &[rtt_ms * 1_000; 200], lost),
            measured(1, &relay(jitter), &[jitter_ms * 1_000; 199], 0),
        ]);
        rows.iter().map(|row| (row.yardstick, row.result.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(result(90, 29, 1), [(TeamsLatency, Pass), (TeamsJitter, Pass), (TeamsLoss, Pass)]);
    assert_eq!(result(101, 30, 3), [(TeamsLatency, Fail), (TeamsJitter, Fail), (TeamsLoss, Fail)]);
}

#[test]
fn too_few_probes_say_nothing_and_other_targets_have_no_yardstick() {
    let rows = told(&[
        measured(1, &to("world.tr.teams.microsoft.com", Metric::IcmpRtt), &[20_000; 9], 0),
        measured(1, &to("graph.microsoft.com", Metric::TcpConnect), &[20_000; 900], 0),
    ]);
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.result.is_none() && row.no_result_because == Some(NoResult::TooFew)));
}
