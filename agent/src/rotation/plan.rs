//! When the agent's key is replaced, and which key is tried when the collector knows one no more. Pure.

use peerlight_proto::{id::AgentId, keys::KeyStatus, time::Timestamp};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// A key is replaced after so much of its life at the earliest …
const EARLIEST: f64 = 7.0 / 12.0;
/// … and within so much of it from then on, at two thirds on average: a fleet that was enrolled in one hour must not march
/// in step, and a third of the life is left for an agent that is off when its turn comes.
const SPREAD: f64 = 2.0 / 12.0;

/// From when until when a key serves, by the collector's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its beginning.
    pub since: Timestamp,
    /// From when on it serves for nothing but to be replaced.
    pub expires: Timestamp,
}

impl From<&KeyStatus> for Life {
    fn from(status: &KeyStatus) -> Self {
        Self {
            since: Timestamp::from_micros(status.since_us),
            expires: Timestamp::from_micros(status.expires_us),
        }
    }
}

/// What to do about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing for so long.
    Rest(Duration),
    /// Have a new one follow it now.
    Replace,
}

/// What to do about the key of `agent` at `now`, by the collector's clock. What was begun is finished first.
pub fn duty(agent: AgentId, life: Life, begun: bool, now: Timestamp) -> Duty {
    let due = due(agent, life);
    if begun || now >= due { Duty::Replace } else { Duty::Rest(due.since(now)) }
}

/// When the key is to be replaced: an instant that this agent and life always have.
pub fn due(agent: AgentId, life: Life) -> Timestamp {
    let mut hash = Sha256::new();
    hash.update(agent.as_bytes());
    hash.update(life.since.as_micros().to_le_bytes());
    let mut first = [0; 4];
    first.copy_from_slice(&hash.finalize()[..4]);
    let place = f64::from(u32::from_le_bytes(first)) / f64::from(u32::MAX);
    let length = life.expires.since(life.since);
    life.since.plus(length.mul_f64(EARLIEST + SPREAD * place))
}

/// Where a key lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The one that signs.
    Signing,
    /// The one that is to follow.
    Next,
    /// The one before.
    Previous,
}

/// The public keys that lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeysOnDisk {
    /// The one that signs. Another process may have taken it up.
    pub signing: Option<[u8; 32]>,
    /// The one that is to follow.
    pub next: Option<[u8; 32]>,
    /// The one before.
    pub previous: Option<[u8; 32]>,
}

/// Which key to try after the collector knew none of `tried`: the newest that it may know first.
pub fn another(on_disk: &KeysOnDisk, tried: &[[u8; 32]]) -> Option<Slot> {
    let slots =
        [(Slot::Signing, on_disk.signing), (Slot::Next, on_disk.next), (Slot::Previous, on_disk.previous)];
    let untried = slots.into_iter().find(|(_, key)| key.is_some_and(|key| !tried.contains(&key)));
    untried.map(|(slot, _key)| slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_hours(24);
    const AGENT: AgentId = AgentId::new([7; 16]);

    fn life(days: u32) -> Life {
        let since = Timestamp::from_secs(1_800_000_000);
        Life { since, expires: since.plus(DAY * days) }
    }

    #[test]
    fn a_key_rests_until_its_turn_and_is_then_replaced_however_late() {
        let (life, turn) = (life(90), due(AGENT, life(90)));
        let second = Duration::from_secs(1);
        assert_eq!(duty(AGENT, life, false, life.since), Duty::Rest(turn.since(life.since)));
        assert_eq!(duty(AGENT, life, false, turn.minus(second)), Duty::Rest(second));
        for late in [turn, life.expires, life.expires.plus(DAY * 900)] {
            assert_eq!(duty(AGENT, life, false, late), Duty::Replace);
        }
        assert_eq!(duty(AGENT, life, true, life.since), Duty::Replace, "what was begun is finished");
    }

    #[test]
    fn a_clock_that_was_set_back_and_a_life_without_length_do_no_harm() {
        let early = life(90).since.minus(DAY);
        assert_eq!(duty(AGENT, life(90), false, early), Duty::Rest(due(AGENT, life(90)).since(early)));
        assert_eq!(duty(AGENT, life(0), false, life(0).since), Duty::Replace);
    }

    #[test]
    fn a_fleet_does_not_march_in_step() {
        let life = life(90);
        let days: std::collections::BTreeMap<u64, u32> =
            (0_u32..3_000).fold(std::collections::BTreeMap::default(), |mut days, one| {
                let mut id = [0; 16];
                id[..4].copy_from_slice(&one.to_le_bytes());
                *days.entry(due(AgentId::new(id), life).since(life.since).as_secs() / 86_400).or_default() +=
                    1;
                days
            });
        assert_eq!(days.len(), 16, "from noon to noon over 15 days: {days:?}");
        assert!(days.values().all(|agents| *agents < 300), "{days:?}");
    }

    #[test]
    fn the_newest_key_that_was_not_tried_is_tried_next() {
        let [old, new, newest, known] = [[1; 32], [2; 32], [3; 32], [4; 32]];
        let alone = KeysOnDisk { signing: Some(new), ..KeysOnDisk::default() };
        let begun = KeysOnDisk { next: Some(newest), ..alone };
        let all = KeysOnDisk { previous: Some(old), ..begun };
        let table = [
            (KeysOnDisk::default(), vec![new], None),
            (alone, vec![new], None),
            // Another process took it up meanwhile.
            (alone, vec![old], Some(Slot::Signing)),
            (begun, vec![new], Some(Slot::Next)),
            (begun, vec![new, newest], None),
            (all, vec![new], Some(Slot::Next)),
            (all, vec![new, newest], Some(Slot::Previous)),
            (all, vec![new, newest, old], None),
            // The key before is still the one that signs: the crash was between the two.
            (KeysOnDisk { previous: Some(new), ..alone }, vec![new], None),
            (all, vec![known], Some(Slot::Signing)),
        ];
        for (on_disk, tried, expected) in table {
            assert_eq!(another(&on_disk, &tried), expected, "{on_disk:?} {tried:?}");
        }
    }

    proptest! {
        /// Always after half of the life and before five sixths of it, the same for the same life.
        #[test]
        fn a_turn_is_at_about_two_thirds(id in any::<[u8; 16]>(), days in 1_u32..4_000) {
            let (life, agent) = (life(days), AgentId::new(id));
            let share = due(agent, life).since(life.since).div_duration_f64(DAY * days);
            prop_assert!((0.58..=0.7501).contains(&share), "{share}");
            prop_assert_eq!(due(agent, life), due(agent, life));
        }
    }
}
