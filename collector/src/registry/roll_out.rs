//! Which agents are the first to get a staged target set. Pure.

use peerlight_proto::id::AgentId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// All of a fleet, in thousandths.
pub(super) const EVERYBODY: u16 = 1_000;

/// Which target set is in force, and which one some agents have already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RollOut {
    /// The set in force; 0 if nothing was ever assigned.
    pub in_force: u32,
    /// The staged set, if there is one.
    pub staged: Option<u32>,
    /// How many thousandths of the agents have the staged set.
    pub share_permille: u16,
}

impl RollOut {
    /// The set that this agent has.
    pub(super) fn set_of(&self, agent: AgentId) -> u32 {
        self.staged.filter(|_staged| is_among(agent, self.share_permille)).unwrap_or(self.in_force)
    }
}

/// Whether an agent is among the first `share_permille` thousandths. It depends on the agent alone: whoever is among few is
/// among more, too, and the same agents go first in every roll-out, so that an operator knows whom to watch.
fn is_among(agent: AgentId, share_permille: u16) -> bool {
    let digest = Sha256::new().chain_update(b"peerlight roll-out").chain_update(agent.as_bytes()).finalize();
    let place = digest.iter().take(8).fold(0_u128, |place, byte| place << 8 | u128::from(*byte));
    (place * u128::from(EVERYBODY)) >> 64 < u128::from(share_permille)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: u32) -> AgentId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        AgentId::new(bytes)
    }

    #[test]
    fn a_share_is_as_large_as_it_says_and_grows_by_adding() {
        let of = |share| (0..20_000).map(agent).filter(move |agent| is_among(*agent, share)).count();
        assert_eq!((of(0), of(EVERYBODY)), (0, 20_000));
        for (share, expected) in [(5, 100_usize), (100, 2_000), (500, 10_000)] {
            assert!(of(share).abs_diff(expected) <= expected / 10 + 30, "{share}: {}", of(share));
        }
        let all_stay = (0..20_000).map(agent).all(|agent| !is_among(agent, 50) || is_among(agent, 51));
        assert!(all_stay);
    }

    #[test]
    fn who_is_not_among_the_first_keeps_what_is_in_force() {
        let roll_out = RollOut { in_force: 7, staged: Some(8), share_permille: 100 };
        let sets: Vec<u32> = (0..1_000).map(|number| roll_out.set_of(agent(number))).collect();
        assert!(sets.contains(&7) && sets.contains(&8));
        let none = RollOut { staged: None, ..roll_out };
        assert!((0..1_000).all(|number| none.set_of(agent(number)) == 7));
    }
}
