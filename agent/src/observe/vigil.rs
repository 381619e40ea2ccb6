//! When to ask for the public address: every so often, and at once when probes leave from another address. Pure.

use crate::cadence::Cadence;
use std::{net::IpAddr, time::Duration};

/// What a look at the address that probes leave from means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing is to be done.
    Rest,
    /// Ask the collector.
    Ask,
    /// Ask the collector, and forget what it said before: probes leave from another address now.
    AskAnew,
}

/// Remembers from where probes left and when to ask next. Instants are the monotonic clock's.
#[derive(Debug, Clone)]
pub(super) struct Vigil {
    cadence: Cadence,
    /// The last address that was seen. It stays while there is none, so that an outage does not look like a move.
    source: Option<IpAddr>,
    /// Whether there was none at the last look.
    away: bool,
    next: Duration,
}

impl Vigil {
    /// Has seen nothing, and is due at once.
    pub(super) fn new(cadence: Cadence) -> Self {
        Self { cadence, source: None, away: false, next: Duration::ZERO }
    }

    /// Whether it is time to ask, whatever a look shows.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// What it means that probes leave from `source` at `now`; none if there is no way out.
    pub(super) fn look(&mut self, source: Option<IpAddr>, now: Duration) -> Duty {
        let moved = matches!((self.source, source), (Some(old), Some(new)) if old != new);
        // Whoever gave this address back may have given the site another public one.
        let returned = self.away && source.is_some();
        self.away = source.is_none();
        self.source = source.or(self.source);
        if moved {
            Duty::AskAnew
        } else if returned || self.is_due(now) {
            Duty::Ask
        } else {
            Duty::Rest
        }
    }

    /// Keeps that the collector was asked, with or without success, by `now`.
    pub(super) fn asked(&mut self, succeeded: bool, now: Duration) {
        self.next = now.saturating_add(if succeeded { self.cadence.period } else { self.cadence.retry });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFICE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)));
    const MOBILE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A vigil that was answered at second 0 with probes leaving from the office.
    fn answered() -> Vigil {
        let mut vigil = Vigil::new(Cadence::default());
        assert_eq!(vigil.look(OFFICE, at(0)), Duty::Ask, "nothing is known at first");
        vigil.asked(true, at(0));
        vigil
    }

    #[test]
    fn without_a_change_the_collector_is_asked_every_five_minutes() {
        let mut vigil = answered();
        assert_eq!(vigil.look(OFFICE, at(299)), Duty::Rest);
        assert_eq!(vigil.look(OFFICE, at(300)), Duty::Ask);
        vigil.asked(false, at(310));
        assert_eq!(vigil.look(OFFICE, at(369)), Duty::Rest, "a failure is not repeated at once");
        assert_eq!(vigil.look(OFFICE, at(370)), Duty::Ask);
    }

    #[test]
    fn another_address_is_asked_about_at_once_and_voids_what_was_observed() {
        let mut vigil = answered();
        assert_eq!(vigil.look(MOBILE, at(3)), Duty::AskAnew);
        vigil.asked(true, at(3));
        assert_eq!(vigil.look(MOBILE, at(6)), Duty::Rest);
        assert_eq!(vigil.look(OFFICE, at(9)), Duty::AskAnew);
        vigil.asked(false, at(9));
        assert_eq!(vigil.look(OFFICE, at(12)), Duty::Rest, "a change is news once");
    }

    #[test]
    fn an_outage_keeps_what_was_observed_and_its_end_is_asked_about_at_once() {
        let mut vigil = answered();
        assert_eq!(vigil.look(None, at(3)), Duty::Rest);
        assert_eq!(vigil.look(None, at(6)), Duty::Rest);
        assert_eq!(vigil.look(OFFICE, at(9)), Duty::Ask);
        vigil.asked(true, at(9));
        vigil.look(None, at(12));
        assert_eq!(vigil.look(MOBILE, at(15)), Duty::AskAnew, "the way back leads through another network");
    }

    #[test]
    fn a_machine_that_starts_without_a_network_asks_when_it_has_one() {
        let mut vigil = Vigil::new(Cadence::default());
        assert_eq!(vigil.look(None, at(0)), Duty::Ask);
        vigil.asked(false, at(0));
        assert_eq!(vigil.look(None, at(3)), Duty::Rest);
        assert_eq!(vigil.look(OFFICE, at(6)), Duty::Ask);
    }
}
