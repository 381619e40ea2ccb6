//! Measurements: one series over one interval.

use crate::{histogram::Histogram, time::Interval};
use std::net::IpAddr;

/// How a probe ended. Every probe ends in exactly one of these (rules, §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Nothing was sent: a missed turn, or an earlier phase of the same probe failed.
    Skipped,
    /// Touched by a suspend, a clock step or disagreeing clocks.
    Voided,
    /// The name could not be resolved.
    DnsFailed,
    /// This machine could not send.
    SendFailed,
    /// Answered in time: the only ending that has a latency.
    Answered,
    /// A TCP connect whose SYN was sent again.
    Retransmitted,
    /// Answered after the time-out, before the deadline.
    Late,
    /// Nothing until the deadline.
    Lost,
    /// RST, ICMP unreachable, a failed TLS handshake or an answer in the target's place: fast, not a loss.
    Refused,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 9] = [
        Self::Skipped,
        Self::Voided,
        Self::DnsFailed,
        Self::SendFailed,
        Self::Answered,
        Self::Retransmitted,
        Self::Late,
        Self::Lost,
        Self::Refused,
    ];
}

/// What became of the probes of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Turns of the schedule.
    pub scheduled: u64,
    /// See [`Ending::Skipped`].
    pub skipped: u64,
    /// See [`Ending::Voided`].
    pub voided: u64,
    /// See [`Ending::DnsFailed`].
    pub dns_failed: u64,
    /// See [`Ending::SendFailed`].
    pub send_failed: u64,
    /// See [`Ending::Answered`].
    pub answered: u64,
    /// See [`Ending::Retransmitted`].
    pub retransmitted: u64,
    /// See [`Ending::Late`].
    pub late: u64,
    /// See [`Ending::Lost`].
    pub lost: u64,
    /// See [`Ending::Refused`].
    pub refused: u64,
    /// Replies beyond the first to a probe; outside the identity.
    pub duplicate: u64,
    /// Replies that belong to no probe of ours; outside the identity.
    pub foreign: u64,
}

impl Counters {
    /// Counts one turn that ended so.
    pub fn count(&mut self, ending: Ending) {
        self.scheduled += 1;
        *self.of_mut(ending) += 1;
    }

    /// The counter of an ending.
    pub fn of(&self, ending: Ending) -> u64 {
        let mut copy = *self;
        *copy.of_mut(ending)
    }

    /// Whether every scheduled probe ended in exactly one counter.
    pub fn identity_holds(&self) -> bool {
        let ends = Ending::ALL.iter().try_fold(0_u64, |sum, &ending| sum.checked_add(self.of(ending)));
        ends == Some(self.scheduled)
    }

    /// Probes that left this machine.
    pub fn sent(&self) -> u64 {
        [self.answered, self.retransmitted, self.late, self.lost, self.refused]
            .iter()
            .fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Probes that the network lost: the numerator of loss.
    pub fn network_lost(&self) -> u64 {
        self.late.saturating_add(self.retransmitted).saturating_add(self.lost)
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.scheduled = self.scheduled.saturating_add(other.scheduled);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.voided = self.voided.saturating_add(other.voided);
        self.dns_failed = self.dns_failed.saturating_add(other.dns_failed);
        self.send_failed = self.send_failed.saturating_add(other.send_failed);
        self.answered = self.answered.saturating_add(other.answered);
        self.retransmitted = self.retransmitted.saturating_add(other.retransmitted);
        self.late = self.late.saturating_add(other.late);
        self.lost = self.lost.saturating_add(other.lost);
        self.refused = self.refused.saturating_add(other.refused);
        self.duplicate = self.duplicate.saturating_add(other.duplicate);
        self.foreign = self.foreign.saturating_add(other.foreign);
    }

    fn of_mut(&mut self, ending: Ending) -> &mut u64 {
        match ending {
            Ending::Skipped => &mut self.skipped,
            Ending::Voided => &mut self.voided,
            Ending::DnsFailed => &mut self.dns_failed,
            Ending::SendFailed => &mut self.send_failed,
            Ending::Answered => &mut self.answered,
            Ending::Retransmitted => &mut self.retransmitted,
            Ending::Late => &mut self.late,
            Ending::Lost => &mut self.lost,
            Ending::Refused => &mut self.refused,
        }
    }
}

/// Something seen with probes that is not part of their series, with how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What, by the kinds of `peerlight.proto`: address, status, issuer, `front_door`, region, interception, error.
    pub kind: String,
    /// Its value.
    pub value: String,
    /// How often.
    pub count: u64,
}

/// The public address that the collector saw when the agent asked `whoami` from the probes' source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The address.
    pub address: IpAddr,
    /// How old the observation was at the interval's end, in seconds.
    pub age_seconds: u32,
}

/// One series over one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// Index into the batch's dictionary of series.
    pub series: u32,
    /// The span that it covers.
    pub interval: Interval,
    /// What became of the probes.
    pub counters: Counters,
    /// The times of the answered ones.
    pub histogram: Histogram,
    /// What was seen with them.
    pub attributes: Vec<Attribute>,
    /// The public address at that time, where it could be observed.
    pub observed: Option<Observed>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_turn_in_no_counter_or_in_two_breaks_the_identity() {
        let mut counters = Counters::default();
        for ending in Ending::ALL {
            counters.count(ending);
        }
        assert!(counters.identity_holds() && counters.sent() == 5 && counters.network_lost() == 3);
        assert!(!Counters { scheduled: 10, ..counters }.identity_holds());
        assert!(!Counters { lost: 2, ..counters }.identity_holds());
        assert!(!Counters { lost: u64::MAX, late: u64::MAX, ..counters }.identity_holds());
    }

    proptest! {
        #[test]
        fn merging_keeps_the_identity(a in prop::collection::vec(0..9_usize, 0..50), b in prop::collection::vec(0..9_usize, 0..50)) {
            let of = |endings: &[usize]| {
                let mut counters = Counters::default();
                for &ending in endings { counters.count(Ending::ALL[ending]); }
                counters
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert!(merged.identity_holds());
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }
    }
}
