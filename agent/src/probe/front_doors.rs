//! Front doors of a name: how far each address is that the name led to, so that an answer of DNS that leads far away is told
//! from a slow network. Microsoft's DNS answers by where the DNS server that asks it stands: one in another country, a proxy's or a
//! VPN's sends everybody behind it to front doors near itself. Pure.

use peerlight_proto::{series::Family, target::Host};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

/// The attribute of a probe to a front door that is far away, and its value.
pub(super) const DISTANT: (&str, &str) = ("resolver", "distant front door");

/// For how long a front door counts after its last answer.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How many answers tell how far a front door is: the fastest of them waited in the fewest queues.
const ENOUGH: u32 = 5;
/// A front door is far by more than so many times the time to the nearest …
const TIMES: u32 = 2;
/// … and by so much more: nobody minds 6 ms in the place of 2.
const MORE: Duration = Duration::from_millis(20);
/// How many front doors of a name are remembered, those that answered last; bounds memory.
const MAX_DOORS: usize = 16;
/// How many names are remembered, each family's counted; bounds memory where assignments change day by day.
const MAX_NAMES: usize = 2_048;

/// What is known of the front doors of names.
#[derive(Debug, Default)]
pub(super) struct FrontDoors(HashMap<(Host, Family), BTreeMap<IpAddr, Door>>);

#[derive(Debug, Clone, Copy)]
struct Door {
    fastest: Duration,
    answers: u32,
    last: Instant,
}

impl FrontDoors {
    /// Notes that a front door of the name was `distance` away, a round trip; answers which other one is much nearer, if it
    /// is one that the name led to within the last day.
    pub(super) fn see(
        &mut self,
        name: &Host,
        family: Family,
        address: IpAddr,
        distance: Duration,
        now: Instant,
    ) -> Option<IpAddr> {
        let key = (name.clone(), family);
        if self.0.len() >= MAX_NAMES && !self.0.contains_key(&key) {
            let is_known = |door: &Door| now.saturating_duration_since(door.last) < REMEMBERED;
            self.0.retain(|_, doors| doors.values().any(is_known));
            if self.0.len() >= MAX_NAMES {
                return None;
            }
        }
        let doors = self.0.entry(key).or_default();
        doors.retain(|_, door| now.saturating_duration_since(door.last) < REMEMBERED);
        let door = doors.entry(address).or_insert(Door { fastest: distance, answers: 0, last: now });
        *door =
            Door { fastest: door.fastest.min(distance), answers: door.answers.saturating_add(1), last: now };
        let seen = *door;
        if doors.len() > MAX_DOORS {
            let oldest = doors.iter().min_by_key(|(_, door)| door.last).map(|(address, _)| *address);
            oldest.and_then(|address| doors.remove(&address));
        }
        let known = |door: &Door| door.answers >= ENOUGH;
        let (nearest, door) =
            doors.iter().filter(|(_, door)| known(door)).min_by_key(|(_, door)| door.fastest)?;
        let is_far = seen.fastest > door.fastest * TIMES && seen.fastest > door.fastest + MORE;
        (known(&seen) && is_far).then_some(*nearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "some instant")]
        Instant::now()
    }

    fn door(number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        [192, 0, high, low].into()
    }

    /// What is said after `answers` answers of a front door, a second apart.
    fn see(doors: &mut FrontDoors, number: u16, ms: u64, answers: u32, from: Instant) -> Option<IpAddr> {
        let name = "outlook.office365.com".parse().unwrap();
        let distance = Duration::from_millis(ms);
        let see = |second: u32| {
            let now = from + Duration::from_secs(second.into());
            doors.see(&name, Family::V4, door(number), distance, now)
        };
        (0..answers).map(see).last().flatten()
    }

    #[test]
    fn a_front_door_is_far_once_enough_answers_say_so_and_a_nearer_one_was_there_within_a_day() {
        let (mut doors, now) = (FrontDoors::default(), start());
        assert_eq!(see(&mut doors, 1, 10, 5, now), None, "the only one is the nearest");
        assert_eq!(see(&mut doors, 2, 60, 4, now + HOUR), None, "too few answers to tell");
        assert_eq!(see(&mut doors, 2, 70, 1, now + HOUR), Some(door(1)));
        assert_eq!(see(&mut doors, 2, 70, 1, now + 23 * HOUR), Some(door(1)));
        assert_eq!(
            see(&mut doors, 2, 70, 1, now + 25 * HOUR),
            None,
            "nobody knows whether the other is there still"
        );
    }

    #[test]
    fn neither_a_little_nor_a_slow_answer_makes_a_front_door_far() {
        for (near, far, is_far) in [(2, 21, false), (2, 23, true), (50, 90, false), (50, 101, true)] {
            let (mut doors, now) = (FrontDoors::default(), start());
            see(&mut doors, 1, near, 5, now);
            assert_eq!(see(&mut doors, 2, far, 5, now).is_some(), is_far, "{near} ms and {far} ms");
        }
        let (mut doors, now) = (FrontDoors::default(), start());
        see(&mut doors, 1, 10, 5, now);
        see(&mut doors, 2, 12, 1, now);
        assert_eq!(see(&mut doors, 2, 500, 10, now), None, "it was near once, so the network is slow now");
    }

    #[test]
    fn families_and_names_have_front_doors_of_their_own() {
        let (mut doors, now) = (FrontDoors::default(), start());
        see(&mut doors, 1, 10, 5, now);
        let (name, distance) = ("outlook.office365.com".parse().unwrap(), Duration::from_millis(90));
        let other = "graph.microsoft.com".parse().unwrap();
        for _ in 0..10 {
            assert_eq!(doors.see(&name, Family::V6, door(2), distance, now), None);
            assert_eq!(doors.see(&other, Family::V4, door(2), distance, now), None);
        }
    }

    #[test]
    fn names_that_nobody_probes_any_more_make_room_after_a_day() {
        let (mut doors, now) = (FrontDoors::default(), start());
        let mut see = |number: usize, now| {
            let name = format!("host-{number}.example").parse().unwrap();
            doors.see(&name, Family::V4, door(1), Duration::from_millis(5), now);
            doors.0.len()
        };
        let most = (0..2 * MAX_NAMES).map(|number| see(number, now)).max();
        assert_eq!(most, Some(MAX_NAMES));
        assert_eq!(see(2 * MAX_NAMES, now + 25 * HOUR), 1);
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_bounded_and_the_nearest_is_never_far(
            answers in prop::collection::vec((0_u16..64, 1_u64..200), 1..400)
        ) {
            let (mut doors, now) = (FrontDoors::default(), start());
            for (turn, (number, ms)) in answers.into_iter().enumerate() {
                let now = now + Duration::from_secs(turn as u64);
                let nearer = see(&mut doors, number, ms, 1, now);
                prop_assert_ne!(nearer, Some(door(number)));
                prop_assert!(doors.0.values().all(|doors| doors.len() <= MAX_DOORS && doors.contains_key(&door(number))));
            }
        }
    }
}
