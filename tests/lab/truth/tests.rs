//! The truth against packets written by hand.

use super::*;
use crate::network::refusal::refuse;
use std::net::Ipv4Addr;

const SITE: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 10);
const TARGET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 11);
const TIMEOUT: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(2);

fn truth() -> Truth {
    Truth::new(
        vec![Place { provider: "Example Telecom".into(), location: "GB-LND".into() }],
        vec![Endpoint {
            name: "echo".into(),
            host: "echo.lab.example".into(),
            addresses: vec![TARGET.into()],
            tcp_port: 80,
            udp_port: 3478,
        }],
    )
}

fn packet(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(20 + payload.len()).unwrap();
    let mut bytes = vec![0x45, 0, 0, length, 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(payload);
    bytes
}

fn ask(sequence: u8) -> Vec<u8> {
    packet(SITE, TARGET, 1, &[8, 0, 0, 0, 0, 1, 0, sequence])
}

fn answer(sequence: u8) -> Vec<u8> {
    packet(TARGET, SITE, 1, &[0, 0, 0, 0, 0, 1, 0, sequence])
}

fn segment(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), numbers: (u32, u32), flags: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(from.1.to_be_bytes());
    payload.extend(to.1.to_be_bytes());
    payload.extend(numbers.0.to_be_bytes());
    payload.extend(numbers.1.to_be_bytes());
    payload.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    packet(from.0, to.0, 6, &payload)
}

fn ms(millis: u64) -> Stamp {
    Duration::from_secs(1_000_000) + Duration::from_millis(millis)
}

fn rows(truth: &Truth) -> Vec<TruthRow> {
    truth.rows(&(ms(0)..ms(10_000)), TIMEOUT, DEADLINE)
}

fn held(asked: Stamp, held: Option<Duration>) -> Held {
    Held { site: 0, target: 0, metric: Metric::UdpRtt, family: Family::V4, asked, held, copies: 0 }
}

#[test]
fn echoes_are_matched_by_sequence_and_the_missing_one_is_loss() {
    let mut truth = truth();
    for sequence in 0..4 {
        truth.observe(0, Direction::Out, ms(u64::from(sequence) * 100), &ask(sequence));
    }
    for sequence in [2, 0, 1] {
        let at = ms(u64::from(sequence) * 100 + 10 + u64::from(sequence));
        truth.observe(0, Direction::In, at, &answer(sequence));
    }
    let row = &rows(&truth)[0];
    assert_eq!((row.metric, row.n, row.p50_ms, row.p95_ms), (Metric::IcmpRtt, 3, Some(11.0), Some(12.0)));
    assert_eq!(row.loss, Some(0.25));
}

#[test]
fn a_second_answer_is_a_duplicate_and_a_late_one_is_loss() {
    let mut truth = truth();
    truth.observe(0, Direction::Out, ms(0), &ask(1));
    truth.observe(0, Direction::In, ms(20), &answer(1));
    truth.observe(0, Direction::In, ms(900), &answer(1));
    truth.observe(0, Direction::Out, ms(100), &ask(2));
    truth.observe(0, Direction::In, ms(1_101), &answer(2));
    let row = &rows(&truth)[0];
    assert_eq!((row.n, row.p95_ms, row.loss), (1, Some(20.0), Some(0.5)));
    assert_eq!((row.counters.late, row.counters.duplicate), (1, 1));
}

#[test]
fn a_syn_sent_again_is_loss_and_never_a_time() {
    let (site, target) = ((SITE, 40_000), (TARGET, 80));
    let mut truth = truth();
    truth.observe(0, Direction::Out, ms(0), &segment(site, target, (7, 0), 0x02));
    truth.observe(0, Direction::Out, ms(1_000), &segment(site, target, (7, 0), 0x02));
    truth.observe(0, Direction::In, ms(1_020), &segment(target, site, (99, 8), 0x12));
    let row = &rows(&truth)[0];
    assert_eq!((row.metric, row.n, row.p50_ms, row.loss), (Metric::TcpConnect, 0, None, Some(1.0)));
}

#[test]
fn a_refused_connect_is_no_loss() {
    let (site, target) = ((SITE, 40_000), (TARGET, 80));
    let mut truth = truth();
    truth.observe(0, Direction::Out, ms(0), &segment(site, target, (7, 0), 0x02));
    truth.observe(0, Direction::In, ms(5), &segment(target, site, (0, 8), 0x14));
    let row = &rows(&truth)[0];
    assert_eq!((row.n, row.loss, row.counters.refused), (0, None, 1));
}

#[test]
fn what_a_router_refuses_is_no_loss() {
    let mut truth = truth();
    truth.observe(0, Direction::Out, ms(0), &ask(1));
    truth.observe(0, Direction::In, ms(5), &refuse(&ask(1)).unwrap());
    let row = &rows(&truth)[0];
    assert_eq!((row.n, row.loss, row.counters.refused), (0, None, 1));
}

#[test]
fn an_answer_after_the_deadline_is_lost_and_a_syn_sent_again_in_vain_too() {
    let mut truth = truth();
    truth.observe(0, Direction::Out, ms(0), &ask(1));
    truth.observe(0, Direction::In, ms(2_001), &answer(1));
    let (site, target) = ((SITE, 40_000), (TARGET, 80));
    truth.observe(0, Direction::Out, ms(0), &segment(site, target, (7, 0), 0x02));
    truth.observe(0, Direction::Out, ms(1_000), &segment(site, target, (7, 0), 0x02));
    assert!(rows(&truth).iter().all(|row| row.counters.lost == 1 && row.counters.scheduled == 1));
}

#[test]
fn a_probe_belongs_to_its_turn_however_late_it_is_sent() {
    let mut truth = truth();
    let (target, step) = ("echo".to_owned(), Duration::from_millis(500));
    let first = ms(490);
    truth.expect(0, [Turns { target, metric: Metric::IcmpRtt, family: Family::V4, first, step }]);
    // Two were sent behind the edges of the span that their turns lie before.
    for (sequence, sent) in [(1, 505), (2, 991), (3, 1_495)] {
        truth.observe(0, Direction::Out, ms(sent), &ask(sequence));
        truth.observe(0, Direction::In, ms(sent + u64::from(sequence)), &answer(sequence));
    }
    let counted = |from, to| {
        let rows = truth.rows(&(ms(from)..ms(to)), TIMEOUT, DEADLINE);
        rows.first().map_or((0, None), |row| (row.n, row.p50_ms))
    };
    assert_eq!(counted(500, 1_500), (2, Some(2.0)));
    assert_eq!(counted(0, 500), (1, Some(1.0)));
    assert_eq!(counted(1_500, 2_000), (0, None));
}

#[test]
fn the_connects_of_https_probes_are_not_counted() {
    let mut truth = truth();
    truth.observe(0, Direction::Out, ms(0), &segment((SITE, 40_000), (TARGET, 443), (7, 0), 0x02));
    assert_eq!(rows(&truth), []);
}

#[test]
fn identifiers_in_use_anew_are_another_probe() {
    let mut truth = truth();
    for start in [0, 30_000] {
        truth.observe(0, Direction::Out, ms(start), &ask(1));
        truth.observe(0, Direction::In, ms(start + 10), &answer(1));
    }
    let row = &truth.rows(&(ms(0)..ms(60_000)), TIMEOUT, DEADLINE)[0];
    assert_eq!((row.n, row.loss), (2, Some(0.0)));
}

#[test]
fn only_probes_sent_in_the_span_count_and_old_ones_are_forgotten() {
    let mut truth = truth();
    truth.record(held(ms(0), Some(Duration::from_millis(3))));
    truth.record(held(ms(20_000), None));
    let row = &rows(&truth)[0];
    assert_eq!((row.n, row.loss), (1, Some(0.0)));
    truth.record(held(ms(0) + KEPT + Duration::from_mins(2), None));
    assert_eq!(rows(&truth), []);
}
