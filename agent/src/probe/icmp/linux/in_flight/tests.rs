//! Replies find their probes, once, and nobody else's.

use super::*;
use std::net::Ipv4Addr;

const COOKIE: Cookie = [7; 8];
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn target(number: u8) -> TargetId {
    TargetId::new([number; 16])
}

fn start() -> Instant {
    crate::probe::exchange::now()
}

fn echo(sequence: u16, cookie: Cookie) -> Echo {
    Echo { identifier: 1, sequence, cookie: Some(cookie) }
}

#[test]
fn the_first_reply_answers_and_the_second_is_a_duplicate() {
    let (mut in_flight, now) = (InFlight::default(), start());
    let (sequence, mut answer) = in_flight.begin(target(1), THERE, COOKIE, now).unwrap();
    in_flight.keyed(sequence, 0);
    assert!(in_flight.lacks_stamp(&echo(sequence, COOKIE)));
    in_flight.left(0, 1_000);
    let later = now + Duration::from_millis(30);
    assert_eq!(in_flight.replied(Some(THERE), &echo(sequence, COOKIE), Some(21_000), later), Match::First);
    let user = Duration::from_millis(30);
    assert_eq!(answer.try_recv(), Ok(Answer::Reply { kernel: Some(20_000), user }));
    let again = in_flight.replied(Some(THERE), &echo(sequence, COOKIE), None, later);
    assert_eq!(again, Match::Duplicate(target(1)));
}

#[test]
fn a_reply_with_another_cookie_is_foreign_and_answers_nobody() {
    let (mut in_flight, now) = (InFlight::default(), start());
    let (sequence, mut answer) = in_flight.begin(target(1), THERE, COOKIE, now).unwrap();
    assert_eq!(in_flight.replied(Some(THERE), &echo(sequence, [8; 8]), None, now), Match::Foreign(target(1)));
    let elsewhere = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)));
    assert_eq!(in_flight.replied(elsewhere, &echo(sequence, [8; 8]), None, now), Match::Unknown);
    assert!(answer.try_recv().is_err());
    assert_eq!(in_flight.replied(elsewhere, &echo(sequence, COOKIE), None, now), Match::First);
}

#[test]
fn a_reply_after_the_deadline_is_the_first_all_the_same() {
    let (mut in_flight, now) = (InFlight::default(), start());
    let (sequence, answer) = in_flight.begin(target(1), THERE, COOKIE, now).unwrap();
    drop(answer);
    assert_eq!(in_flight.replied(Some(THERE), &echo(sequence, COOKIE), None, now), Match::First);
}

#[test]
fn an_error_that_quotes_only_the_header_refuses() {
    let (mut in_flight, now) = (InFlight::default(), start());
    let (sequence, mut answer) = in_flight.begin(target(1), THERE, COOKIE, now).unwrap();
    in_flight.unreachable(&echo(sequence, [8; 8]), "not ours".to_owned());
    assert!(answer.try_recv().is_err());
    in_flight.unreachable(&Echo { cookie: None, ..echo(sequence, COOKIE) }, "no".to_owned());
    assert_eq!(answer.try_recv(), Ok(Answer::Unreachable("no".to_owned())));
}

#[test]
fn numbers_are_used_again_only_once_they_are_forgotten() {
    let (mut in_flight, now) = (InFlight::default(), start());
    let mut answers = Vec::new();
    for _ in 0..=u16::MAX {
        answers.push(in_flight.begin(target(1), THERE, COOKIE, now).unwrap());
    }
    assert!(in_flight.begin(target(2), THERE, COOKIE, now).is_none());
    assert!(in_flight.begin(target(2), THERE, COOKIE, now + REMEMBERED).is_some());
    assert_eq!(in_flight.requests.len(), 1);
}

#[test]
fn what_could_not_be_sent_leaves_nothing_behind() {
    let (mut in_flight, now) = (InFlight::default(), start());
    let (sequence, mut answer) = in_flight.begin(target(1), THERE, COOKIE, now).unwrap();
    in_flight.take_back(sequence);
    assert!(answer.try_recv().is_err() && in_flight.requests.is_empty() && in_flight.oldest_first.is_empty());
}

#[test]
fn stamps_that_never_come_do_not_pile_up() {
    let (mut in_flight, mut now) = (InFlight::default(), start());
    for key in 0..1_000 {
        let (sequence, _answer) = in_flight.begin(target(1), THERE, COOKIE, now).unwrap();
        in_flight.keyed(sequence, key);
        now += Duration::from_secs(1);
    }
    assert!(in_flight.by_key.len() < 250, "{}", in_flight.by_key.len());
}
