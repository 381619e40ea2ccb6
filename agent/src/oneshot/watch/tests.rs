//! What the screen looks like, and what its keys do.

use super::*;
use crate::sample::{Outcome, Reading};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Path},
};
use ratatui::{Terminal, backend::TestBackend, style::Color};
use std::net::IpAddr;

const CANVAS: Canvas = Canvas { width: None, colour: true, unicode: true };
const NAMES: [&str; 2] =
    ["icmp://outlook.office365.com", "https://outlook.office365.com/owa/healthcheck.htm"];

fn sample(family: Family, readings: &[(Metric, Option<u64>)], error: Option<&str>) -> Sample {
    let reading = |&(metric, us): &(Metric, Option<u64>)| {
        let outcome = us.map_or(Outcome::Failed(Ending::Lost), |us| {
            let latency = Duration::from_micros(us);
            Outcome::Answered { latency, user_latency: latency }
        });
        Reading { metric, clock: Clock::Kernel, outcome, http_version: None, handshake: None }
    };
    Sample {
        family,
        path: Path::Direct,
        address: Some(IpAddr::from([192, 0, 2, 1])),
        readings: readings.iter().map(reading).collect(),
        attributes: error.map(|error| ("error", error.to_owned())).into_iter().collect(),
    }
}

/// Ten minutes of a calm target, of one that is lost for a while, and of HTTPS with its phases.
fn ten_minutes() -> (Scene, Tally) {
    let names: Vec<String> = NAMES.map(str::to_owned).into();
    let mut scene = Scene::of(names, 52, Duration::from_secs(1));
    let mut tally = Tally::default();
    let mut land = |subject, turn, sample: &Sample| {
        tally.count(subject, turn, sample);
        scene.land(subject, turn, sample);
    };
    for turn in 0..600_u32 {
        // Wanders within 4 ms, and by day and by night.
        let noise = (turn.wrapping_mul(2_654_435_761) >> 9).wrapping_mul(2_246_822_519) >> 12;
        let wander = u64::from(noise % 4_001) + u64::from(turn / 200) * 5_000;
        land(0, turn, &sample(Family::V4, &[(Metric::IcmpRtt, Some(20_000 + wander))], None));
        let dark = (300..350).contains(&turn) || turn % 40 == 0;
        let six = if dark { None } else { Some(22_000 + wander / 2) };
        let error = dark.then_some("lost: nothing came back in time");
        land(0, turn, &sample(Family::V6, &[(Metric::IcmpRtt, six)], error));
        let phases = [
            (Metric::HttpsDns, 900),
            (Metric::HttpsTcp, 20_000 + wander),
            (Metric::HttpsTls, 24_000),
            (Metric::HttpsTtfb, 31_000),
            (Metric::HttpsTransfer, 400),
            (Metric::HttpsLocal, 150),
            (Metric::HttpsTotal, 76_450 + wander),
        ];
        land(1, turn, &sample(Family::V4, &phases.map(|(metric, us)| (metric, Some(us))), None));
    }
    (scene, tally)
}

fn drawn(scene: &Scene, tally: &Tally, (width, height): (u16, u16), canvas: Canvas) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, scene, tally, Duration::from_millis(600_400), canvas)).unwrap();
    terminal
}

#[test]
fn every_size_has_its_form() {
    let (mut scene, tally) = ten_minutes();
    for (chosen, name) in ["calm", "lossy", "phases"].into_iter().enumerate() {
        for size in [(60, 20), (80, 24), (160, 50)] {
            let shown = drawn(&scene, &tally, size, CANVAS);
            insta::assert_snapshot!(format!("{name}_{}", size.0), shown.backend());
        }
        assert_eq!(scene.chosen(), chosen);
        scene.obey(Command::Following);
    }
}

#[test]
fn no_size_is_too_small_and_none_too_large() {
    let (scene, tally) = ten_minutes();
    for (width, height) in [(1, 1), (10, 3), (40, 8), (80, 6), (300, 2), (12, 90), (500, 200)] {
        drawn(&scene, &tally, (width, height), CANVAS);
    }
    drawn(&Scene::of(Vec::new(), 0, Duration::from_secs(1)), &Tally::default(), (80, 24), CANVAS);
}

#[test]
fn plain_characters_and_no_colours_are_enough() {
    let (mut scene, tally) = ten_minutes();
    scene.obey(Command::Following);
    let canvas = Canvas { colour: false, unicode: false, ..CANVAS };
    let shown = drawn(&scene, &tally, (80, 24), canvas);
    let buffer = shown.backend().buffer();
    assert!(buffer.content().iter().all(|cell| cell.symbol().is_ascii() && cell.fg == Color::Reset));
    insta::assert_snapshot!("ascii", shown.backend());
}

#[test]
fn loss_is_red_and_calm_is_green() {
    let (mut scene, tally) = ten_minutes();
    scene.obey(Command::Following);
    let shown = drawn(&scene, &tally, (160, 50), CANVAS);
    let colours: Vec<_> = shown
        .backend()
        .buffer()
        .content()
        .iter()
        .filter(|cell| cell.symbol() == "█")
        .map(|cell| cell.fg)
        .collect();
    for colour in [Color::Red, Color::Green, Color::Magenta] {
        assert!(colours.contains(&colour), "{colour:?}");
    }
}

#[test]
fn keys_move_within_bounds() {
    let (mut scene, _) = ten_minutes();
    assert_eq!(scene.column(), Duration::from_secs(5));
    for _ in 0..20 {
        scene.obey(Command::Wider);
        scene.obey(Command::Following);
    }
    assert_eq!((scene.column(), scene.chosen()), (Duration::from_secs(1_000), 2));
    for _ in 0..20 {
        scene.obey(Command::Closer);
        scene.obey(Command::Previous);
    }
    assert_eq!((scene.column(), scene.chosen()), (Duration::from_secs(1), 0));
    let quick = Scene::of(Vec::new(), 0, Duration::from_millis(10));
    assert_eq!(quick.column(), Duration::from_secs(1));
}

#[test]
fn every_key_of_the_help_does_what_it_says() {
    let of = |code| command(code, KeyModifiers::NONE);
    assert_eq!([of(KeyCode::Char('q')), of(KeyCode::Esc)], [Some(Wish::Quit); 2]);
    assert_eq!(command(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::Quit));
    assert_eq!(command(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
    for (keys, expected) in [
        ([KeyCode::Up, KeyCode::Char('k')], Command::Previous),
        ([KeyCode::Down, KeyCode::Char('j')], Command::Following),
        ([KeyCode::Left, KeyCode::Char('-')], Command::Wider),
        ([KeyCode::Right, KeyCode::Char('+')], Command::Closer),
    ] {
        assert_eq!(keys.map(of), [Some(Wish::Change(expected)); 2]);
    }
    assert_eq!(of(KeyCode::Char('x')), None);
}
