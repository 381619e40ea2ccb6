//! Laws of the schedule.

use super::*;
use proptest::prelude::*;

const AGENT: AgentId = AgentId::new([7; 16]);
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

fn entry(name: &str, interval: Duration) -> Entry {
    let target = Target {
        name: name.to_owned(),
        service: String::new(),
        address: format!("{name}.example.com").parse().unwrap(),
        probe: "tcp:443".parse().unwrap(),
    };
    Entry::new(target, Family::V4, interval)
}

fn schedule(entries: Vec<Entry>) -> Schedule {
    let mut schedule = Schedule::new(AGENT);
    schedule.replace(entries, START);
    schedule
}

#[test]
fn a_fleet_does_not_march_in_step() {
    let minute = Duration::from_mins(1);
    let phases: std::collections::BTreeSet<_> =
        (0..100_u8).map(|agent| first_turn(AgentId::new([agent; 16]), &entry("a", minute), START)).collect();
    assert!(phases.len() > 95, "{} different phases of 100", phases.len());
    let halves = phases.iter().filter(|turn| turn.since(START) < minute / 2).count();
    assert!((30..=70).contains(&halves), "{halves} of 100 in the first half");
}

#[test]
fn after_a_long_stall_the_missed_turns_are_skipped_and_bounded() {
    let mut schedule = schedule(vec![entry("a", Duration::from_millis(10))]);
    let due = schedule.due(START.plus(Duration::from_hours(24)));
    assert!(due.turns.len() <= 1);
    assert_eq!(due.missed.len(), 1);
    assert_eq!(due.missed[0].count, 180_000, "half an hour of turns");
    assert!(due.forgotten > 8_000_000);
}

#[test]
fn an_entry_that_stays_keeps_its_turn_and_a_new_one_begins() {
    let (a, b) = (entry("a", Duration::from_secs(10)), entry("b", Duration::from_secs(10)));
    let mut schedule = schedule(vec![a.clone()]);
    let before = schedule.slots[0].next;
    schedule.replace(vec![b, a], START.plus(Duration::from_secs(3)));
    assert_eq!(schedule.slots.iter().find(|slot| slot.entry.target.name == "a").unwrap().next, before);
    assert!(schedule.slots.iter().all(|slot| slot.next.since(START) < Duration::from_secs(13)));
    schedule.replace(vec![], START);
    assert_eq!(schedule.next(), None);
}

proptest! {
    #[test]
    fn a_turn_waits_for_the_next_tick_and_no_longer(now_us in 0_i64..4_000_000_000_000_000, interval_ms in 1_u64..90_000) {
        let interval = Duration::from_millis(interval_ms);
        let mut schedule = Schedule::new(AGENT);
        schedule.replace([entry("a", interval)], Timestamp::from_micros(now_us));
        let wait = schedule.next_tick().unwrap().micros_after(schedule.next().unwrap());
        let wait = Duration::from_micros(u64::try_from(wait).unwrap());
        prop_assert!(wait < LONGEST_TICK && (wait < interval || wait < SHORTEST_TICK), "{wait:?}");
    }

    /// Every turn of an entry is taken or missed exactly once, in order, never early and never late.
    #[test]
    fn every_turn_is_taken_or_missed_exactly_once(
        interval_ms in 10_u64..5_000,
        waits in prop::collection::vec(0_u64..4_000_000, 1..60),
    ) {
        let interval = Duration::from_millis(interval_ms);
        let mut schedule = schedule(vec![entry("a", interval)]);
        let mut expected = schedule.next().unwrap();
        prop_assert!(expected >= START && expected < START.plus(interval));
        let mut now = START;
        for wait in waits {
            now = now.plus(Duration::from_micros(wait));
            let due = schedule.due(now);
            prop_assert!(due.turns.len() <= 1, "a burst");
            prop_assert_eq!(due.forgotten, 0);
            for missed in due.missed {
                prop_assert_eq!(missed.first, expected);
                expected = expected.plus(interval * u32::try_from(missed.count).unwrap());
            }
            for turn in due.turns {
                prop_assert_eq!(turn.scheduled, expected);
                prop_assert!(turn.scheduled <= now, "early");
                prop_assert!(now.since(turn.scheduled) <= MAX_LATENESS.min(interval), "late");
                expected = expected.plus(interval);
            }
            prop_assert_eq!(schedule.next(), Some(expected));
            prop_assert!(expected > now, "what is due was reported");
        }
    }
}
