use super::*;
use crate::{
    admission::Attribution,
    alert::{Percentile, defaults},
    organisation::OrganisationId,
    report::{
        Dimension, Question,
        fixture::{Evidence, Measured, answer, presence, registration, row, series},
    },
};
use peerlight_proto::measurement::Attribute;
use std::time::Duration;

const FROM: Timestamp = Timestamp::from_secs(1_790_000_000);

/// The rows of a report of five minutes over these measurements of registration 1, whose 30 turns were expected.
fn rows(metric: Metric, measured: &[Measured]) -> Vec<ReportRow> {
    let to = FROM.plus(Duration::from_mins(5));
    let question = Question {
        from: FROM,
        to,
        last: None,
        by: vec![Dimension::Provider, Dimension::Location, Dimension::Site, Dimension::Target],
        ..Question::new(OrganisationId::DEFAULT, to)
    };
    let registrations = [registration(1, "Aurora", "GB-LND")];
    let known = [presence(&series(metric, "teams"), FROM.as_secs() - 600, FROM.as_secs() + 600)];
    let evidence =
        Evidence { rows: measured, registrations: &registrations, presence: &known, ..Evidence::default() };
    answer(&question, &evidence, to.plus(Duration::from_mins(5))).rows
}

/// What the default rule of this name finds.
fn found(name: &str, rows: &[ReportRow], before: &Doors) -> Vec<Reading> {
    let rule = defaults().into_iter().find(|rule| rule.name == name).unwrap();
    readings(&rule, rows, before, (FROM, FROM.plus(rule.window)))
}

fn connects(answered: usize, lost: u64) -> Measured {
    row(1, &series(Metric::TcpConnect, "teams"), &vec![20_000; answered], lost)
}

/// Requests, with what was seen with each.
fn requests(seen: &[(&str, &str, u64)]) -> Measured {
    let mut measured = row(1, &series(Metric::HttpsTtfb, "teams"), &[20_000; 30], 0);
    measured.totals.attributes = seen
        .iter()
        .map(|&(kind, value, count)| Attribute { kind: kind.into(), value: value.into(), count })
        .collect();
    measured
}

#[test]
fn a_loss_is_certain_from_its_lower_bound_on_and_takes_enough_probes() {
    let loss = |answered, lost| {
        found("loss", &rows(Metric::TcpConnect, &[connects(answered, lost)]), &Doors::default())
    };
    let few = loss(28, 2).remove(0);
    assert_eq!((few.value.map(|value| (value * 1e3).round()), few.samples), (Some(67.0), 30));
    assert!(few.certain() < 0.05 && few.worst() > 0.05, "{few:?}");
    assert!(loss(24, 6).remove(0).certain() > 0.05);
    assert_eq!(loss(17, 2), [], "19 probes are too few");
    assert_eq!(
        few.spot,
        Spot {
            provider: "Aurora".into(),
            location: "GB-LND".into(),
            site: "site-1".into(),
            target: "teams".into()
        }
    );
}

#[test]
fn a_percentile_that_falls_on_lost_probes_is_beyond_everything() {
    let rule = Rule {
        min_samples: 20,
        percentile: Some(Percentile::P95),
        ..defaults().into_iter().find(|rule| rule.kind == RuleKind::Percentile).unwrap()
    };
    let of = |answered, lost| {
        let rows = rows(Metric::TcpConnect, &[connects(answered, lost)]);
        readings(&rule, &rows, &Doors::default(), (FROM, FROM)).remove(0).worst()
    };
    assert!((of(30, 0) - 20.0).abs() < 1.0);
    assert!(of(25, 5).is_infinite());
}

#[test]
fn silence_is_of_those_of_whom_something_was_expected_and_nothing_came() {
    let nothing = rows(Metric::TcpConnect, &[]);
    let silent = found("silence", &nothing, &Doors::default());
    assert_eq!(silent.iter().map(|one| (one.value, one.samples)).collect::<Vec<_>>(), [(Some(1.0), 30)]);
    assert_eq!(found("coverage", &nothing, &Doors::default())[0].value, Some(0.0));
    let speaking = found("silence", &rows(Metric::TcpConnect, &[connects(5, 0)]), &Doors::default());
    assert_eq!(speaking[0].value, Some(0.0));
    let mut elsewhere = connects(30, 0);
    elsewhere.origin.attribution = Attribution::OffPrefix;
    let elsewhere = rows(Metric::TcpConnect, &[elsewhere]);
    assert_eq!(
        found("silence", &elsewhere, &Doors::default())[0].value,
        Some(0.0),
        "it speaks by another line"
    );
    let off = &found("off-prefix", &elsewhere, &Doors::default())[0];
    assert_eq!((off.value, off.samples), (Some(1.0), 30));
}

#[test]
fn another_issuer_is_told_with_its_name_and_an_unpublished_address_is_not_counted() {
    let of = |seen: &[(&str, &str, u64)]| {
        found("interception", &rows(Metric::HttpsTtfb, &[requests(seen)]), &Doors::default()).remove(0)
    };
    let flagged = of(&[("interception", "certificate issuer", 15), ("issuer", "CN=Proxy", 15)]);
    assert_eq!((flagged.value, flagged.detail.as_deref()), (Some(0.5), Some("certificate issuer, CN=Proxy")));
    assert_eq!(of(&[("interception", "unpublished address", 30)]).value, Some(0.0));
}

#[test]
fn front_doors_are_compared_with_those_of_the_day_before() {
    let before = Doors::of(&rows(Metric::HttpsTtfb, &[requests(&[("front_door", "LON", 30)])]));
    let now = rows(Metric::HttpsTtfb, &[requests(&[("front_door", "LON", 6), ("front_door", "AMS", 24)])]);
    let shift = found("edge-shift", &now, &before).remove(0);
    assert!((shift.worst() - 0.8).abs() < 1e-9);
    assert_eq!(shift.detail.as_deref(), Some("AMS 80.0%, LON 20.0%; before mostly LON"));
    assert_eq!(Doors::of(&now).main(&shift.spot), Some("AMS"));
    assert_eq!(found("edge-shift", &now, &Doors::default()), [], "nothing is known of the day before");
    let mut days = Doors::default();
    days.merge(&before);
    days.merge(&Doors::of(&now));
    days.take_away(&before);
    assert_eq!(days, Doors::of(&now));
}
