//! What an agent dropped, as it tells its collector: totals by UTC hour, uplink and reason, so that a report can say what is
//! missing from it and why.
//!
//! Totals only grow within an [`Account`], so a repeat, a loss or another order changes nothing: the collector keeps the
//! greatest that it has seen of each. Every batch repeats what the collector has not signed for yet.

use crate::{id::AccountId, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The span that drops are counted by, in seconds.
const HOUR: i64 = 3_600;

/// Why an agent dropped what it had measured. Names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The spool held as many bytes as it may: the oldest batches went.
    SpoolFull,
    /// The batch waited longer than it may.
    SpoolAge,
    /// The file was torn or corrupt; how much it held is not known.
    Corrupt,
    /// The machine's disk did not take it.
    Unwritable,
    /// The collector finds even a single measurement too large.
    TooLarge,
    /// The collector rejected the batch: it was too old.
    RejectedTooOld,
    /// The collector rejected the batch for another reason.
    Rejected,
    /// A reason of a newer agent.
    #[serde(other)]
    Other,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::SpoolFull,
        Self::SpoolAge,
        Self::Corrupt,
        Self::Unwritable,
        Self::TooLarge,
        Self::RejectedTooOld,
        Self::Rejected,
        Self::Other,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::SpoolAge => "spool_age",
            Self::Corrupt => "corrupt",
            Self::Unwritable => "unwritable",
            Self::TooLarge => "too_large",
            Self::RejectedTooOld => "rejected_too_old",
            Self::Rejected => "rejected",
            Self::Other => "other",
        }
    }

    /// The reason of this name; names of a newer agent are [`DropReason::Other`].
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Self::Other)
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A part of an agent's account of what it dropped: the entries that changed last and that its collector has not signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Which account: an agent begins another one when its collector has signed for all of one, or when it lost it.
    pub id: AccountId,
    /// Every change of the account up to this number is in `entries`, or was signed for.
    pub until: u64,
    /// The entries, at most [`crate::limits::MAX_DROP_ENTRIES`].
    pub entries: Vec<DropEntry>,
}

/// What was dropped of a UTC hour and an uplink for a reason, since the account began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropEntry {
    /// The start of the UTC hour in which what was dropped began.
    pub hour: Timestamp,
    /// The uplink, as series name it.
    pub uplink: String,
    /// Why.
    pub reason: DropReason,
    /// Measurements, as far as their number is known.
    pub measurements: u64,
    /// Turns of schedules that they account for.
    pub turns: u64,
    /// Batches of which nobody knows how much they held.
    pub unread_batches: u64,
    /// The start of the earliest interval.
    pub first: Timestamp,
    /// The end of the latest interval.
    pub last: Timestamp,
}

/// The collector's word on an account: every change up to `until` is on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Of which account.
    pub id: AccountId,
    /// Up to which change.
    pub until: u64,
}

impl Account {
    /// What the collector says once the account is on its disk.
    pub const fn signed(&self) -> Signed {
        Signed { id: self.id, until: self.until }
    }
}

/// The start of the UTC hour that an instant lies in.
pub fn hour_of(instant: Timestamp) -> Timestamp {
    Timestamp::from_secs(instant.as_secs().div_euclid(HOUR).saturating_mul(HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_known_by_its_name_and_a_newer_one_is_other() {
        for reason in DropReason::ALL {
            assert_eq!(DropReason::from_name(reason.as_str()), reason);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(DropReason::from_name("eaten"), DropReason::Other);
    }

    #[test]
    fn an_hour_holds_its_first_second_and_not_the_next_ones() {
        let at = |seconds| hour_of(Timestamp::from_secs(seconds)).as_secs();
        assert_eq!([at(0), at(3_599), at(3_600), at(-1)], [0, 0, 3_600, -3_600]);
    }
}
