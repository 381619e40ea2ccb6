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

const TEXTS: [&str; 2] = ["icmp://192.0.2.1", "tcp://192.0.2.1:443"];

#[test]
fn the_table_says_everything() {
    let mut out = Vec::new();
    write_table(&mut out, &TEXTS, &tally()).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn the_json_has_the_documented_shape() {
    let mut out = Vec::new();
    write_json(&mut out, &TEXTS, &tally()).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn nothing_measured_is_said() {
    let mut out = Vec::new();
    write_table(&mut out, &[], &Tally::default()).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("nothing was measured"), "{text}");
}

#[test]
fn a_drawing_shows_every_value() {
    let drawing = draw(&Histogram::from_values([100, 100, 100, 100_000]));
    assert_eq!(drawing.chars().count(), COLUMNS);
    assert!(drawing.starts_with('█') && drawing.ends_with('▃'), "{drawing}");
    assert_eq!(draw(&Histogram::from_values([5, 5])).matches('█').count(), 1);
}
