//! Courses over paths that are made up.

use super::*;
use proptest::prelude::*;

/// The address of the router at a hop.
pub(in crate::trace) fn router(hop: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, hop])
}

/// An answer after so many microseconds.
pub(in crate::trace) fn answer(from: IpAddr, kind: AnswerKind, us: u64) -> Answer {
    Answer { from, kind, latency: Duration::from_micros(us), clock: Clock::Kernel }
}

/// Runs a course to a target at `distance`, past hops of which those in `silent` never answer. Counts the packets.
pub(in crate::trace) fn run(course: &mut Course, distance: u8, silent: &[u8]) -> usize {
    let mut packets = 0;
    while let Some(wave) = course.next_wave() {
        packets += wave.len();
        for &turn in &wave {
            course.sent(turn);
        }
        // The farthest answer first: the order in which answers come must not matter.
        for turn in wave.into_iter().rev() {
            let (at, kind) = if turn.hop >= distance {
                (distance, AnswerKind::Reply)
            } else {
                (turn.hop, AnswerKind::Expired)
            };
            if course.wants(turn) && !silent.contains(&at) {
                course
                    .answered(turn, answer(router(at), kind, u64::from(at) * 1_000 + u64::from(turn.round)));
            }
        }
    }
    packets
}

#[test]
fn a_near_target_is_found_in_one_wave_and_asked_no_further_afterwards() {
    let mut course = Course::new(30, 3);
    assert_eq!(run(&mut course, 3, &[]), 8 + 3 + 3);
    assert!(course.reached());
    let hops: Vec<_> = course.hops().map(|(number, hop)| (number, hop.sent, hop.answers.len())).collect();
    assert_eq!(hops, [(1, 3, 3), (2, 3, 3), (3, 3, 3)]);
}

#[test]
fn a_silent_hop_stands_between_its_neighbours() {
    let mut course = Course::new(30, 2);
    run(&mut course, 10, &[4]);
    let silent = course.hops().find(|(number, _)| *number == 4).unwrap().1;
    assert_eq!((silent.sent, silent.answers.len(), silent.latency(), silent.clock()), (2, 0, None, None));
    assert_eq!((course.hops().count(), course.reached()), (10, true));
}

#[test]
fn a_silent_target_ends_at_the_last_hop_that_answered() {
    let mut course = Course::new(12, 2);
    assert_eq!(run(&mut course, 5, &[5]), 24);
    assert_eq!((course.hops().count(), course.reached(), course.last_hop()), (4, false, 12));
}

#[test]
fn nothing_at_all_is_no_hop() {
    let mut course = Course::new(2, 1);
    run(&mut course, 1, &[1]);
    assert_eq!((course.hops().count(), course.reached()), (0, false));
}

#[test]
fn a_router_that_lets_nothing_through_ends_the_path_without_reaching_the_target() {
    let mut course = Course::new(30, 1);
    let wave = course.next_wave().unwrap();
    for &turn in &wave {
        course.sent(turn);
    }
    course.answered(wave[0], answer(router(1), AnswerKind::Expired, 500));
    course.answered(wave[1], answer(router(2), AnswerKind::Unreachable(13), 900));
    assert!(course.wants(wave[1]) && !course.wants(wave[2]));
    assert_eq!(course.next_wave(), None);
    assert_eq!((course.hops().count(), course.reached()), (2, false));
}

#[test]
fn a_hop_tells_of_all_who_answered() {
    let mut hop = Hop { sent: 4, answers: vec![] };
    for (last, us) in [(9, 30), (7, 10), (9, 20)] {
        hop.answers.push(answer(router(last), AnswerKind::Expired, us));
    }
    assert_eq!(hop.addresses(), [(router(9), 2), (router(7), 1)]);
    assert_eq!(hop.latency(), Some([10, 20, 30].map(Duration::from_micros)));
    assert_eq!((hop.clock(), hop.kinds()), (Some(Clock::Kernel), vec![AnswerKind::Expired]));
}

proptest! {
    #[test]
    fn every_hop_up_to_the_target_is_asked_as_often_as_told_and_no_packet_goes_far_beyond(
        (max, distance, count) in (1_u8..=255, 1_u8..=255, 1_u32..5),
        silent in prop::collection::vec(1_u8..=255, 0..20),
    ) {
        let mut course = Course::new(max, count);
        let packets = run(&mut course, distance, &silent);
        let reached = distance <= max && !silent.contains(&distance);
        prop_assert_eq!(course.reached(), reached);
        let asked = if reached { distance } else { max };
        prop_assert!(packets <= usize::from(asked) * count as usize + usize::from(WAVE - 1));
        for (number, hop) in course.hops() {
            prop_assert_eq!(hop.sent, count, "hop {}", number);
        }
    }
}
