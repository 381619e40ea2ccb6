//! Stories of one machine, which must not raise the alarm, and of two, which must, as soon as they can be told.

use super::*;
use crate::registry::AgentHealth;
use peerlight_proto::id::SessionId;
use std::collections::BTreeMap;

/// A push: when it arrives, its session, the start and end of what it measured, and when it was made, in seconds; and the
/// offset that its agent knew.
type Push = (i64, u8, (i64, i64), i64, Option<i64>);

/// The pushes in the order of their arrival; when the alarm is raised, if it is.
fn raised(interval: u64, pushes: &[Push]) -> Option<i64> {
    let mut sessions: BTreeMap<SessionId, Measured> = BTreeMap::new();
    for &(at, session, (start, end), created, offset) in pushes {
        let seconds = Timestamp::from_secs;
        let batch = BatchSighting {
            session: SessionId::new([session; 16]),
            span: Some((seconds(start), seconds(end))),
            interval: Duration::from_secs(interval),
            created: seconds(created),
            clock_offset_us: offset.map(|seconds| seconds * 1_000_000),
            version: String::new(),
            health: AgentHealth::default(),
        };
        let Some(measured) = live(&batch, seconds(at)) else { continue };
        let widened = sessions.get(&batch.session).map_or(measured, |known| known.widened(measured));
        sessions.insert(batch.session, widened);
        let mut others = sessions.iter().filter(|(session, _)| **session != batch.session);
        if others.any(|(_, other)| widened.overlaps(*other, batch.interval)) {
            return Some(at);
        }
    }
    None
}

/// Minutes `from..to` of a session, pushed as they close; the agent's clock is off by `-offset`.
fn minutes(session: u8, from: i64, to: i64, offset: i64) -> Vec<Push> {
    let push = |minute: i64| {
        let end = 60 * minute + 60;
        (end + 3, session, (end - 60 - offset, end - offset), end + 3 - offset, Some(offset))
    };
    (from..to).map(push).collect()
}

fn in_order(stories: &[Vec<Push>]) -> Vec<Push> {
    let mut pushes = stories.concat();
    pushes.sort_by_key(|push| push.0);
    pushes
}

#[test]
fn two_machines_are_told_by_the_second_interval_that_they_share() {
    let table: [(&str, &[Vec<Push>], i64); 5] = [
        ("side by side", &[minutes(1, 0, 9, 0), minutes(2, 0, 9, 0)], 123),
        ("one joins", &[minutes(1, 0, 9, 0), minutes(2, 4, 9, 0)], 363),
        ("with clocks an hour apart", &[minutes(1, 0, 9, 3_600), minutes(2, 0, 9, -5)], 123),
        ("one pauses", &[minutes(1, 0, 2, 0), minutes(1, 8, 9, 0), minutes(2, 4, 9, 0)], 543),
        ("a third", &[minutes(1, 0, 2, 0), minutes(2, 3, 9, 0), minutes(3, 6, 9, 0)], 483),
    ];
    for (story, pushes, expected) in table {
        assert_eq!(raised(60, &in_order(pushes)), Some(expected), "{story}");
    }
}

#[test]
fn short_intervals_are_told_sooner_and_long_ones_later() {
    let both = |interval: i64| {
        let push = |n: i64| {
            let end = interval * (n + 1);
            [1, 2].map(|session| (end + 1, session, (end - interval, end), end + 1, Some(0)))
        };
        let pushes: Vec<Push> = (0..60).flat_map(push).collect();
        raised(interval.unsigned_abs(), &pushes)
    };
    assert_eq!([1, 10, 60, 900].map(both), [Some(13), Some(31), Some(121), Some(1_801)]);
}

#[test]
fn one_machine_raises_nothing() {
    let backlog = |at: i64, minute: i64| (at, 1, (60 * minute, 60 * minute + 60), 60 * minute + 63, Some(0));
    let table: [(&str, Vec<Vec<Push>>); 7] = [
        ("a restart", vec![minutes(1, 0, 5, 0), minutes(2, 5, 9, 0)]),
        (
            "a restart within a minute, which both measured a part of",
            vec![minutes(1, 0, 5, 0), minutes(2, 4, 9, 0)],
        ),
        (
            "a backlog that comes while the next session runs",
            vec![
                minutes(1, 0, 2, 0),
                (2..9).map(|n| backlog(600 + 60 * n, n)).collect(),
                minutes(2, 9, 20, 0),
            ],
        ),
        ("a clock that was an hour fast and is set", vec![minutes(1, 0, 5, -3_600), minutes(2, 5, 9, 0)]),
        (
            "a clock that is set back an hour, before the agent has measured that",
            // The new session numbers by the new clock and knows the old offset, until it is answered.
            vec![
                minutes(1, 0, 70, 0),
                vec![(4_263, 2, (600, 660), 663, Some(0)), (4_323, 2, (660, 720), 723, Some(0))],
                minutes(2, 72, 80, 3_600),
            ],
        ),
        (
            "a clock that is set forward an hour, measured before the last interval closes",
            vec![
                minutes(1, 0, 30, 0),
                minutes(2, 31, 90, 0),
                vec![(5_463, 2, (5_400, 5_460), 9_063, Some(-3_600))],
                minutes(3, 92, 99, -3_600),
            ],
        ),
        ("agents that know no offset", vec![vec![(63, 1, (0, 60), 63, None), (183, 2, (0, 180), 183, None)]]),
    ];
    for (story, pushes) in table {
        assert_eq!(raised(60, &in_order(&pushes)), None, "{story}");
    }
}
