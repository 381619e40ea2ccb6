//! What people and programs read.

use super::*;
use crate::sample::{Outcome, Reading, Sample};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Path},
};
use std::{net::IpAddr, time::Duration};

fn sample(metric: Metric, clock: Clock, outcome: Outcome, error: Option<&str>) -> Sample {
    Sample {
        family: Family::V4,
        path: Path::Direct,
        address: Some(IpAddr::from([192, 0, 2, 1])),
        readings: vec![Reading { metric, clock, outcome, http_version: None, handshake: None }],
        attributes: error.map(|error| ("error", error.to_owned())).into_iter().collect(),
    }
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    for turn in 0..20_u32 {
        let latency = Duration::from_micros(20_000 + u64::from(turn % 5) * 1_000);
        let answered = Outcome::Answered { latency, user_latency: latency };
        tally.count(0, turn, &sample(Metric::IcmpRtt, Clock::Kernel, answered, None));
    }
    tally.count(0, 20, &sample(Metric::IcmpRtt, Clock::Kernel, Outcome::Failed(Ending::Late), None));
    let refused = sample(
        Metric::TcpConnect,
        Clock::TcpInfo,
        Outcome::Failed(Ending::Refused),
        Some("refused: Connection refused (os error 111)"),
    );
    tally.count(1, 0, &refused);
    tally
}

fn subjects(texts: &[&str]) -> Vec<Subject> {
    texts.iter().flat_map(|text| Subject::read(text).unwrap()).collect()
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const TEXTS: [&str; 2] = ["icmp://192.0.2.1", "tcp://192.0.2.1:443"];

#[test]
fn the_table_says_everything() {
    insta::assert_snapshot!(text(|out| write_table(out, &subjects(&TEXTS), &tally())));
}

#[test]
fn the_json_has_the_documented_shape() {
    insta::assert_snapshot!(text(|out| write_json(out, &subjects(&TEXTS), &tally())));
}

/// A bare host that does not resolve: three targets over two families, ten probes each.
fn unresolved() -> Tally {
    let mut tally = Tally::default();
    let cause = "nosuch.example does not exist (NXDOMAIN)";
    for (turn, subject, family) in (0..10).flat_map(|turn| {
        (0..3).flat_map(move |subject| Family::ALL.iter().map(move |&family| (turn, subject, family)))
    }) {
        let failed = Outcome::Failed(Ending::DnsFailed);
        let metric = [Metric::IcmpRtt, Metric::TcpConnect, Metric::HttpsTotal][subject];
        let sample = sample(metric, Clock::User, failed, Some(cause));
        tally.count(subject, turn, &Sample { family, address: None, ..sample });
    }
    tally
}

#[test]
fn a_host_that_does_not_resolve_is_one_line_and_what_to_check() {
    let (subjects, tally) = (subjects(&["nosuch.example"]), unresolved());
    let table = text(|out| write_table(out, &subjects, &tally));
    assert_eq!(table, "nosuch.example: 60 × nosuch.example does not exist (NXDOMAIN)\n");
    let json: serde_json::Value =
        serde_json::from_str(&text(|out| write_json(out, &subjects, &tally))).unwrap();
    assert_eq!(
        (json["targets"].as_array().unwrap().len(), json["failures"].as_array().unwrap().len()),
        (6, 6)
    );
    assert!(failures::advice(&tally).unwrap().contains("check its spelling"));
}

#[test]
fn what_to_check_depends_on_how_far_probes_came() {
    let advice = |outcome| {
        let mut tally = Tally::default();
        tally.count(0, 0, &sample(Metric::IcmpRtt, Clock::Kernel, outcome, None));
        failures::advice(&tally)
    };
    let latency = Duration::from_millis(1);
    assert_eq!(advice(Outcome::Answered { latency, user_latency: latency }), None);
    assert!(advice(Outcome::Failed(Ending::Lost)).unwrap().contains("firewall"));
    assert!(advice(Outcome::Failed(Ending::SendFailed)).unwrap().contains("routes"));
    assert!(failures::advice(&Tally::default()).unwrap().contains("nothing was measured"));
}

#[test]
fn a_drawing_shows_every_value() {
    let drawing = draw(&Histogram::from_values([100, 100, 100, 100_000]));
    assert_eq!(drawing.chars().count(), COLUMNS);
    assert!(drawing.starts_with('█') && drawing.ends_with('▃'), "{drawing}");
    assert_eq!(draw(&Histogram::from_values([5, 5])).matches('█').count(), 1);
}
