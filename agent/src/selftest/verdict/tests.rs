//! What machines are called, and why.

use super::*;
use crate::sample::{Outcome, Reading, Sample};
use peerlight_proto::{measurement::Ending, series::Path};
use proptest::prelude::*;

/// A machine that allows everything.
pub(in crate::selftest) fn machine() -> Machine {
    Machine {
        kernel: Some("6.18.44".into()),
        cpus: Some(2),
        load_1m: Some(0.25),
        clock_source: Some("tsc".into()),
        icmp_v4: IcmpAccess::Unprivileged,
        icmp_v6: IcmpAccess::Unprivileged,
        ping_group_range: Some("0 2147483647".into()),
        ipv6: true,
        receive_buffer: Some(ReceiveBuffer { wanted: 4 << 20, granted: 4 << 20, rmem_max: Some(4 << 20) }),
    }
}

/// A kind of probe of which the answers took so long.
pub(in crate::selftest) fn row(metric: Metric, clock: Clock, times_us: impl IntoIterator<Item = u64>) -> Row {
    let mut row = Row::new(metric, Family::V4);
    for us in times_us {
        let latency = Duration::from_micros(us);
        let user_latency = latency + Duration::from_micros(40);
        count(&mut row, clock, Outcome::Answered { latency, user_latency }, None);
    }
    row
}

fn count(row: &mut Row, clock: Clock, outcome: Outcome, error: Option<&str>) {
    let reading = Reading { metric: row.metric, clock, outcome, http_version: None, handshake: None };
    let attributes = error.map(|error| ("error", error.to_owned())).into_iter().collect();
    let sample =
        Sample { family: row.family, path: Path::Direct, address: None, readings: vec![reading], attributes };
    row.count(&sample, Duration::from_micros(700), Duration::ZERO);
}

fn fail(row: &mut Row, times: usize, ending: Ending, error: Option<&str>) {
    for _ in 0..times {
        count(row, Clock::Kernel, Outcome::Failed(ending), error);
    }
}

fn good() -> Vec<Row> {
    vec![
        row(Metric::IcmpRtt, Clock::Kernel, 1..=99),
        row(Metric::TcpConnect, Clock::TcpInfo, (0..200).map(|n| 20 + n % 40)),
        row(Metric::UdpRtt, Clock::Kernel, (0..200).map(|n| 5 + n % 20)),
    ]
}

fn text(verdict: &Verdict) -> String {
    let advice = verdict.advice.iter().map(|advice| format!("\n- {advice}"));
    format!("{}{}", verdict.sentence, advice.collect::<String>())
}

#[test]
fn a_quiet_machine_is_good() {
    let verdict = judge(&good(), &machine());
    assert_eq!(verdict.grade, Grade::Good);
    insta::assert_snapshot!("quiet", text(&verdict));
}

#[test]
fn a_machine_without_kernel_stamps_is_usable_at_best() {
    let mut rows = good();
    rows[2] = row(Metric::UdpRtt, Clock::User, 1..=99);
    let verdict = judge(&rows, &machine());
    assert_eq!(verdict.grade, Grade::Usable);
    insta::assert_snapshot!("own-clock", text(&verdict));
}

#[test]
fn a_machine_that_permits_no_icmp_is_usable_and_says_how_to_permit_it() {
    let mut rows = good();
    rows[0] = Row::new(Metric::IcmpRtt, Family::V4);
    fail(&mut rows[0], 100, Ending::SendFailed, Some("ICMP over IPv4 is not permitted"));
    let machine =
        Machine { icmp_v4: IcmpAccess::NotPermitted, ping_group_range: Some("1 0".into()), ..machine() };
    let verdict = judge(&rows, &machine);
    assert_eq!(verdict.grade, Grade::Usable);
    insta::assert_snapshot!("no-icmp", text(&verdict));
}

#[test]
fn an_overloaded_machine_with_a_small_buffer_is_poor_and_says_why() {
    let mut rows = good();
    rows[1] = row(Metric::TcpConnect, Clock::TcpInfo, (0..200).map(|n| n * 60));
    fail(&mut rows[0], 3, Ending::Lost, None);
    let receive_buffer = Some(ReceiveBuffer { wanted: 4 << 20, granted: 208 << 10, rmem_max: Some(212_992) });
    let machine =
        Machine { load_1m: Some(8.5), clock_source: Some("hpet".into()), receive_buffer, ..machine() };
    let verdict = judge(&rows, &machine);
    assert_eq!(verdict.grade, Grade::Poor);
    insta::assert_snapshot!("overloaded", text(&verdict));
}

#[test]
fn a_machine_that_filters_loopback_is_poor() {
    let mut rows = good();
    rows[2] = Row::new(Metric::UdpRtt, Family::V4);
    fail(&mut rows[2], 100, Ending::Lost, None);
    insta::assert_snapshot!("filtered", text(&judge(&rows, &machine())));
    insta::assert_snapshot!("nothing", text(&judge(&[], &machine())));
}

#[test]
fn the_thresholds_are_those_of_the_help() {
    let grade = |rows: &[Row]| judge(rows, &machine()).grade;
    for (us, expected) in
        [(100, Grade::Good), (101, Grade::Usable), (1_000, Grade::Usable), (1_010, Grade::Poor)]
    {
        assert_eq!(grade(&[row(Metric::IcmpRtt, Clock::Kernel, vec![us; 99])]), expected, "{us} µs");
    }
    for (ending, times, expected) in [
        (Ending::Lost, 1, Grade::Usable),
        (Ending::Late, 2, Grade::Poor),
        (Ending::Voided, 10, Grade::Usable),
        (Ending::Voided, 11, Grade::Poor),
    ] {
        let mut row = row(Metric::IcmpRtt, Clock::Kernel, vec![10; 1_000]);
        fail(&mut row, times, ending, None);
        assert_eq!(grade(&[row]), expected, "{times} {ending:?}");
    }
}

#[test]
fn probes_that_miss_their_turns_make_a_machine_poor() {
    let mut row = row(Metric::IcmpRtt, Clock::Kernel, vec![10; 99]);
    row.gap = Histogram::from_values([1_500_000]);
    insta::assert_snapshot!("late", text(&judge(&[row], &machine())));
}

proptest! {
    #[test]
    fn nothing_that_goes_wrong_improves_the_grade(
        times in prop::collection::vec(0_u64..3_000, 1..300),
        more in prop::collection::vec(0_usize..8, 0..20),
    ) {
        let mut row = row(Metric::UdpRtt, Clock::Kernel, times);
        let before = judge(std::slice::from_ref(&row), &machine()).grade;
        let failures: Vec<Ending> = Ending::ALL.into_iter().filter(|ending| *ending != Ending::Answered).collect();
        for which in more {
            fail(&mut row, 1, failures[which], None);
        }
        prop_assert!(judge(&[row], &machine()).grade >= before);
    }
}
