//! Replies find their probes, once, and nobody else's.

use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

const COOKIE: Cookie = [7; 8];
const THERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const DEADLINE: Duration = Duration::from_secs(3);

fn target(number: u8) -> TargetId {
    TargetId::new([number; 16])
}

fn start() -> Instant {
    crate::probe::exchange::now()
}

fn handed(at: Instant) -> Handed {
    Handed { at, stamp: 900 }
}

fn begin(flights: &mut Flights<u32>, at: Instant, landing: u32) -> Token {
    flights.begin(target(1), THERE, COOKIE, handed(at), landing)
}

fn first(landing: u32, stamped: Option<(Clock, i64)>, user_ms: u64, handed: Instant) -> Match<u32> {
    Match::First(Some(landing), Took { stamped, user: Duration::from_millis(user_ms), handed })
}

#[test]
fn the_first_reply_answers_and_the_second_is_a_duplicate() {
    let (mut flights, now) = (Flights::new(), start());
    let token = begin(&mut flights, now, 5);
    flights.left(0, 1_000);
    flights.left(0, 9_000);
    let later = now + Duration::from_millis(30);
    assert_eq!(
        flights.replied(token, Some(THERE), Some(21_000), later),
        Some(first(5, Some((Clock::Kernel, 20_000)), 30, now))
    );
    assert_eq!(flights.replied(token, Some(THERE), None, later), Some(Match::Duplicate(target(1))));
    assert_eq!((flights.oldest_open(), flights.expected(later)), (None, 0));
}

#[test]
fn without_the_stamp_of_leaving_the_time_is_this_processs_and_without_that_of_coming_there_is_none() {
    let (mut flights, now) = (Flights::new(), start());
    let (one, two) = (begin(&mut flights, now, 1), begin(&mut flights, now, 2));
    assert_eq!(
        flights.replied(one, Some(THERE), Some(21_000), now),
        Some(first(1, Some((Clock::User, 20_100)), 0, now))
    );
    assert_eq!(flights.replied(two, Some(THERE), None, now), Some(first(2, None, 0, now)));
}

#[test]
fn a_reply_from_another_address_or_port_is_foreign_and_leaves_the_request_open() {
    let (mut flights, now) = (Flights::new(), start());
    let to = SocketAddr::new(THERE.ip(), 7);
    let token = flights.begin(target(1), to, COOKIE, handed(now), 5);
    flights.left(0, 1_000);
    let elsewhere = [SocketAddr::from(([192, 0, 2, 1], 7)), SocketAddr::new(to.ip(), 8)];
    for from in elsewhere.map(Some).into_iter().chain([None]) {
        let foreign = flights.replied(token, from, Some(2_000), now);
        assert_eq!(foreign, Some(Match::Foreign(target(1))), "{from:?}");
    }
    let answered = first(5, Some((Clock::Kernel, 20_000)), 0, now);
    assert_eq!(flights.replied(token, Some(to), Some(21_000), now), Some(answered));
    assert_eq!(flights.replied(token, elsewhere[0].into(), None, now), Some(Match::Foreign(target(1))));
}

#[test]
fn a_reply_with_another_cookie_is_foreign_and_answers_nobody() {
    let (mut flights, now) = (Flights::new(), start());
    let token = begin(&mut flights, now, 5);
    assert_eq!(flights.replied(Token { cookie: [8; 8], ..token }, Some(THERE), None, now), None);
    assert_eq!(flights.replied(Token { number: 99, ..token }, Some(THERE), None, now), None);
    assert_eq!(flights.foreign(Some(THERE)), Match::Foreign(target(1)));
    assert_eq!(flights.foreign(Some(([127, 0, 0, 9], 0).into())), Match::Unknown);
    assert_eq!(flights.oldest_open(), Some(now));
}

#[test]
fn a_reply_after_the_deadline_is_the_first_all_the_same() {
    let (mut flights, now) = (Flights::new(), start());
    let token = begin(&mut flights, now, 5);
    assert_eq!(flights.overdue(DEADLINE, now + DEADLINE / 2), []);
    assert_eq!(flights.overdue(DEADLINE, now + DEADLINE), [Overdue { landing: 5, handed: now }]);
    assert!(matches!(flights.replied(token, Some(THERE), None, now), Some(Match::First(None, _))));
}

#[test]
fn an_error_that_quotes_little_ends_the_newest_that_fits() {
    let (mut flights, now) = (Flights::new(), start());
    let token = begin(&mut flights, now, 5);
    begin(&mut flights, now, 6);
    begin(&mut flights, now, 7);
    assert_eq!(flights.unreachable(Quote::Token(Token { cookie: [8; 8], ..token }), Some(THERE)), None);
    assert_eq!(flights.unreachable(Quote::Sequence(1), None), Some(6));
    assert_eq!(flights.unreachable(Quote::Sequence(1), None), None, "it has ended");
    assert_eq!(flights.unreachable(Quote::Nothing, Some(THERE)), Some(7));
    assert_eq!(flights.unreachable(Quote::Nothing, None), None);
    assert_eq!(flights.unreachable(Quote::Token(token), None), Some(5));
}

#[test]
fn what_could_not_be_sent_leaves_nothing_behind_and_keys_may_start_again() {
    let (mut flights, now) = (Flights::new(), start());
    begin(&mut flights, now, 5);
    assert_eq!(flights.take_back(), Some((target(1), THERE, 5)));
    assert_eq!((flights.take_back(), flights.newest(), flights.expected(now)), (None, None, 0));
    let unsent = begin(&mut flights, now, 6);
    flights.keys_restart();
    let token = begin(&mut flights, now, 7);
    flights.left(0, 1_000);
    assert_eq!(
        flights.replied(unsent, Some(THERE), Some(21_000), now),
        Some(first(6, Some((Clock::User, 20_100)), 0, now))
    );
    assert_eq!(
        flights.replied(token, Some(THERE), Some(21_000), now),
        Some(first(7, Some((Clock::Kernel, 20_000)), 0, now))
    );
}

#[test]
fn a_reply_that_is_slow_needs_no_room() {
    let (mut flights, now) = (Flights::new(), start());
    let token = begin(&mut flights, now, 5);
    begin(&mut flights, now + EXPECTED, 6);
    assert_eq!(flights.expected(now), 2);
    assert_eq!(flights.expected(now + EXPECTED), 1);
    assert!(flights.replied(token, Some(THERE), None, now + EXPECTED).is_some());
    assert_eq!(flights.expected(now + EXPECTED), 1);
}

#[test]
fn requests_are_forgotten_in_time_or_when_there_are_too_many() {
    let (mut flights, now) = (Flights::new(), start());
    for landing in 0..200_000 {
        let token = begin(&mut flights, now, landing);
        flights.replied(token, Some(THERE), None, now);
        flights.expected(now + EXPECTED);
        flights.overdue(DEADLINE, now);
    }
    assert_eq!(flights.requests.len(), MAX_REMEMBERED);
    flights.overdue(DEADLINE, now + REMEMBERED);
    assert!(flights.requests.is_empty());
}

/// What may happen to a request.
#[derive(Debug, Clone, Copy)]
enum Event {
    Begin,
    TakeBack,
    Reply(u8),
    Refuse(u8),
    Wait(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Begin),
        1 => Just(Event::TakeBack),
        2 => any::<u8>().prop_map(Event::Reply),
        1 => any::<u8>().prop_map(Event::Refuse),
        2 => (0_u16..40_000).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn every_request_ends_exactly_once_whatever_happens(events in prop::collection::vec(event(), 0..200)) {
        let (mut flights, mut now) = (Flights::new(), start());
        let (mut tokens, mut ends) = (Vec::new(), Vec::<u32>::new());
        for event in events {
            match event {
                Event::Begin => {
                    let landing = u32::try_from(tokens.len()).unwrap();
                    tokens.push(begin(&mut flights, now, landing));
                }
                Event::TakeBack => ends.extend(flights.take_back().map(|(_, _, landing)| landing)),
                Event::Reply(which) => if let Some(token) = tokens.get(usize::from(which)) {
                    match flights.replied(*token, Some(THERE), Some(1), now) {
                        Some(Match::First(landing, _)) => ends.extend(landing),
                        Some(Match::Duplicate(_)) | None => {}
                        other => prop_assert!(false, "{other:?}"),
                    }
                },
                Event::Refuse(which) => if let Some(token) = tokens.get(usize::from(which)) {
                    ends.extend(flights.unreachable(Quote::Token(*token), None));
                },
                Event::Wait(ms) => {
                    now += Duration::from_millis(ms.into());
                    ends.extend(flights.overdue(DEADLINE, now).into_iter().map(|overdue| overdue.landing));
                }
            }
            let open = flights.requests.iter().filter(|request| request.landing.is_some()).count();
            prop_assert_eq!(flights.open, open);
            prop_assert!(flights.expected(now) <= open);
            prop_assert_eq!(flights.oldest_open().is_some(), open > 0);
        }
        ends.extend(flights.overdue(DEADLINE, now + DEADLINE).into_iter().map(|overdue| overdue.landing));
        ends.sort_unstable();
        let all: Vec<u32> = (0..u32::try_from(tokens.len()).unwrap()).collect();
        prop_assert_eq!(ends, all);
    }
}
