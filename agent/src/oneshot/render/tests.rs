//! What people and programs read.

use super::*;
use crate::{
    oneshot::history::{History, Landed},
    sample::{Outcome, Reading, Sample},
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Path},
    time::Timestamp,
};
use std::{net::IpAddr, time::Duration};

const PIPED: Canvas = Canvas { width: None, colour: false, unicode: true };

fn wide(width: usize) -> Canvas {
    Canvas { width: Some(width), ..PIPED }
}

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
    insta::assert_snapshot!(text(|out| write_text(out, &subjects(&TEXTS), &tally(), PIPED)));
}

#[test]
fn the_json_has_the_documented_shape() {
    insta::assert_snapshot!(text(|out| document::write(out, &subjects(&TEXTS), &tally())));
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
    let table = text(|out| write_text(out, &subjects, &tally, PIPED));
    assert_eq!(table, "nosuch.example: 60 × nosuch.example does not exist (NXDOMAIN)\n");
    let json: serde_json::Value =
        serde_json::from_str(&text(|out| document::write(out, &subjects, &tally))).unwrap();
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
    let drawing = histogram::draw(&Histogram::from_values([100, 100, 100, 100_000]), 32, PIPED);
    assert_eq!(drawing.chars().count(), 32);
    assert!(drawing.starts_with('█') && drawing.ends_with('▃'), "{drawing}");
    assert_eq!(histogram::draw(&Histogram::from_values([5, 5]), 32, PIPED).matches('█').count(), 1);
}

/// An ICMP target and an HTTPS one, twenty probes each, of which one ICMP probe was lost.
fn mixed() -> (Vec<Subject>, Tally) {
    let subjects = subjects(&["icmp://192.0.2.1", "https://outlook.office365.com/owa/healthcheck.htm"]);
    let mut tally = tally();
    for turn in 0..20_u32 {
        let phases = [
            (Metric::HttpsDns, 1_200),
            (Metric::HttpsProxy, 0),
            (Metric::HttpsTcp, 10_100),
            (Metric::HttpsTls, 12_300),
            (Metric::HttpsTtfb, 14_000 + u64::from(turn % 4) * 700),
            (Metric::HttpsTransfer, 250),
            (Metric::HttpsLocal, 800),
            (Metric::HttpsTotal, 38_650 + u64::from(turn % 4) * 700),
        ];
        for (metric, us) in phases {
            let latency = Duration::from_micros(us);
            let outcome = if us == 0 {
                Outcome::Failed(Ending::Skipped)
            } else {
                Outcome::Answered { latency, user_latency: latency + Duration::from_micros(40) }
            };
            tally.count(1, turn, &sample(metric, Clock::Kernel, outcome, None));
        }
    }
    (subjects, tally)
}

#[test]
fn every_width_has_its_form() {
    let (subjects, tally) = mixed();
    for width in [60, 80, 120, 200] {
        let text = text(|out| write_text(out, &subjects, &tally, wide(width)));
        let longest =
            text.lines().take_while(|line| !line.ends_with(": 1 late")).map(|line| line.chars().count());
        assert!(longest.max().unwrap() <= width, "{text}");
        insta::assert_snapshot!(format!("width_{width}"), text);
    }
}

#[test]
fn colours_and_plain_characters_have_their_forms() {
    let (subjects, tally) = mixed();
    let of = |canvas| text(|out| write_text(out, &subjects, &tally, canvas));
    insta::assert_snapshot!("coloured", of(Canvas { colour: true, ..wide(80) }).replace('\u{1b}', "␛"));
    let ascii = of(Canvas { unicode: false, ..wide(80) });
    assert!(ascii.is_ascii(), "{ascii}");
    insta::assert_snapshot!("ascii", ascii);
    let piped = of(PIPED);
    assert!(!piped.contains('\u{1b}'));
    insta::assert_snapshot!("piped", piped);
}

#[test]
fn the_sheet_has_a_header_and_units() {
    let (subjects, tally) = mixed();
    insta::assert_snapshot!(text(|out| sheet::write(out, &subjects, &tally)));
}

#[test]
fn each_probe_is_a_line_as_it_lands() {
    let latency = Duration::from_micros(20_123);
    let user_latency = latency + Duration::from_micros(55);
    let answered = Outcome::Answered { latency, user_latency };
    let at = Timestamp::from_micros(1_700_000_000_000_001);
    let subjects = subjects(&TEXTS);
    insta::assert_snapshot!(text(|out| {
        landing::write(out, &subjects[0], 0, &sample(Metric::IcmpRtt, Clock::Kernel, answered, None), at)?;
        let refused =
            sample(Metric::TcpConnect, Clock::TcpInfo, Outcome::Failed(Ending::Refused), Some("refused"));
        landing::write(out, &subjects[1], 41, &refused, at)
    }));
}

#[test]
fn a_live_line_marks_what_was_lost() {
    let tally = tally();
    let (_, row) = tally.rows().next().unwrap();
    let mut history = History::default();
    for (turn, ms) in (0..).zip([20, 21, 22, 23, 24, 20, 21]) {
        history.land(turn, Landed::Answered(ms * 1_000));
    }
    history.land(7, Landed::Failed(Ending::Lost));
    let lines = |canvas: Canvas| {
        let columns = live::name_columns(18, 79);
        let line = live::line("icmp://192.0.2.1 v4", columns, row, &history, 79, canvas);
        [live::header(columns), line].map(|line| line.to_text(canvas)).join("\n").replace('\u{1b}', "␛")
    };
    insta::assert_snapshot!("live", lines(wide(80)));
    insta::assert_snapshot!("live_ascii", lines(Canvas { unicode: false, ..wide(80) }));
    insta::assert_snapshot!("live_coloured", lines(Canvas { colour: true, ..wide(80) }));
    for turn in 8..108 {
        history.land(turn, Landed::Answered(1));
    }
    for width in [59, 79, 119, 199] {
        let columns = live::name_columns(50, width);
        let line = live::line(&"n".repeat(50), columns, row, &history, width, wide(width));
        let header = live::header(columns);
        assert!(line.columns() <= width && header.columns() <= width, "{header:?}\n{line:?}");
    }
}

proptest::proptest! {
    /// No column is lost or invented by rounding.
    #[test]
    fn shares_add_up(values in proptest::collection::vec(0_u64..60_000_000, 1..8), of in 0_usize..300) {
        let shares = shares(&values, of);
        let expected = if values.iter().sum::<u64>() == 0 { 0 } else { of };
        proptest::prop_assert_eq!(shares.iter().sum::<usize>(), expected);
    }
}
