//! One direction of a path: decides, purely, when a packet arrives or what else becomes of it.

use crate::scenario::{Conditions, Recurring};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::{Duration, Instant};

/// A site's packets on their way out, or those on their way back; or both at once.
#[derive(Debug)]
pub struct Path {
    delay: Duration,
    jitter: Duration,
    loss: f64,
    duplication: f64,
    reordering: f64,
    refusal: f64,
    foreign: f64,
    outage: Option<Recurring>,
    random: StdRng,
    /// When the first packet entered it.
    first: Option<Instant>,
    /// When the latest of those that keep to the order arrives.
    latest: Option<Instant>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Deliver {
        /// When.
        at: Instant,
        /// When it arrives once more, if it does.
        copy: Option<Instant>,
        /// Whether both bear another sender.
        foreign: bool,
    },
    /// A router at the far end refuses it.
    Refuse {
        /// When.
        at: Instant,
    },
    /// It is lost.
    Drop,
}

impl Path {
    /// The way out of a path with these `conditions`; with the way back it makes up the round trip's. Requests are what they
    /// are.
    pub fn outbound(conditions: Conditions, seed: u64) -> Self {
        Self::share_of(Conditions { foreign: 0.0, ..conditions }, conditions.outbound_share, seed)
    }

    /// The way back. Answers are never refused.
    pub fn inbound(conditions: Conditions, seed: u64) -> Self {
        Self::share_of(Conditions { refusal: 0.0, ..conditions }, 1.0 - conditions.outbound_share, seed)
    }

    /// The whole round trip at once, as an echo server imitates it where there are no paths. It cannot speak for a
    /// router or another host: nothing is refused, nor foreign.
    pub fn round_trip(conditions: Conditions, seed: u64) -> Self {
        Self::share_of(Conditions { refusal: 0.0, foreign: 0.0, ..conditions }, 1.0, seed)
    }

    fn share_of(conditions: Conditions, share: f64, seed: u64) -> Self {
        // Both ways must let a packet through: (1 - out)(1 - back) = 1 - whole.
        let part = |whole: f64| 1.0 - (1.0 - whole).powf(share);
        Self {
            delay: conditions.delay.mul_f64(share),
            jitter: conditions.jitter.mul_f64(share),
            loss: part(conditions.loss),
            duplication: part(conditions.duplication),
            reordering: conditions.reordering,
            refusal: conditions.refusal,
            foreign: conditions.foreign,
            outage: conditions.outage,
            random: StdRng::seed_from_u64(seed),
            first: None,
            latest: None,
        }
    }

    /// Decides about a packet that enters the path at `now`. Packets that keep to the order never overtake one another.
    pub fn decide(&mut self, now: Instant) -> Fate {
        let since = now.saturating_duration_since(*self.first.get_or_insert(now));
        let lost = self.rolls(self.loss);
        let strays = self.rolls(self.reordering);
        let refused = self.rolls(self.refusal);
        let copied = self.rolls(self.duplication);
        // Not rolled where nothing is foreign: the seeds of old scenarios keep their fates.
        let foreign = self.foreign > 0.0 && self.rolls(self.foreign);
        if lost || self.outage.is_some_and(|outage| outage.is_on(since)) {
            return Fate::Drop;
        }
        let at = self.arrival(now, strays);
        if refused {
            return Fate::Refuse { at };
        }
        Fate::Deliver { at, copy: copied.then(|| self.arrival(now, strays)), foreign }
    }

    fn rolls(&mut self, probability: f64) -> bool {
        self.random.random::<f64>() < probability
    }

    fn arrival(&mut self, now: Instant, strays: bool) -> Instant {
        let at = now + self.delay + self.jitter.mul_f64(self.random.random::<f64>());
        if strays {
            return at;
        }
        let at = at.max(self.latest.unwrap_or(now));
        self.latest = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn conditions() -> Conditions {
        Conditions {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(4),
            loss: 0.19,
            ..Conditions::default()
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an origin; the tests add to it")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let start = origin();
        let fates = |seed| {
            let mut path = Path::outbound(conditions(), seed);
            (0..100).map(|n| path.decide(start + Duration::from_millis(n))).collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn both_ways_lose_what_the_round_trip_loses_whatever_their_shares() {
        let start = origin();
        for outbound_share in [0.5, 0.9, 1.0] {
            let conditions = Conditions { outbound_share, ..conditions() };
            let (mut out, mut back) = (Path::outbound(conditions, 1), Path::inbound(conditions, 2));
            let lost = (0..100_000)
                .filter(|_| out.decide(start) == Fate::Drop || back.decide(start) == Fate::Drop)
                .count();
            assert!((18_500..19_500).contains(&lost), "lost {lost} of 100,000 at 19 %");
        }
    }

    #[test]
    fn the_ways_have_their_shares_of_the_delay() {
        let start = origin();
        let conditions =
            Conditions { delay: Duration::from_millis(100), outbound_share: 0.75, ..Conditions::default() };
        let held = |mut path: Path| match path.decide(start) {
            Fate::Deliver { at, .. } => at - start,
            Fate::Refuse { .. } | Fate::Drop => Duration::ZERO,
        };
        assert_eq!(held(Path::outbound(conditions, 1)), Duration::from_millis(75));
        assert_eq!(held(Path::inbound(conditions, 1)), Duration::from_millis(25));
        assert_eq!(held(Path::round_trip(conditions, 1)), Duration::from_millis(100));
    }

    #[test]
    fn copies_and_refusals_come_in_their_shares_and_only_requests_are_refused() {
        let start = origin();
        let conditions = Conditions { duplication: 0.3, refusal: 0.2, ..Conditions::default() };
        let tally = |mut path: Path| {
            let fates: Vec<_> = (0..10_000).map(|_| path.decide(start)).collect();
            let copies = fates.iter().filter(|fate| matches!(fate, Fate::Deliver { copy: Some(_), .. }));
            let refusals = fates.iter().filter(|fate| matches!(fate, Fate::Refuse { .. }));
            (copies.count(), refusals.count())
        };
        let whole = Conditions { outbound_share: 1.0, ..conditions };
        let (copies, refusals) = tally(Path::outbound(whole, 1));
        assert!((2_200..2_600).contains(&copies) && (1_800..2_200).contains(&refusals));
        assert_eq!(tally(Path::inbound(conditions, 1)).1, 0);
        assert_eq!(tally(Path::round_trip(conditions, 1)).1, 0);
    }

    #[test]
    fn only_answers_are_foreign_in_their_share() {
        let start = origin();
        let conditions = Conditions { foreign: 0.2, loss: 0.1, ..Conditions::default() };
        let foreign = |mut path: Path| {
            let fates = (0..10_000).map(|_| path.decide(start));
            fates.filter(|fate| matches!(fate, Fate::Deliver { foreign: true, .. })).count()
        };
        let answers = foreign(Path::inbound(conditions, 1));
        assert!((1_750..2_050).contains(&answers), "{answers} of some 9,500 that are not lost");
        assert_eq!(
            (foreign(Path::outbound(conditions, 1)), foreign(Path::round_trip(conditions, 1))),
            (0, 0)
        );
    }

    #[test]
    fn nothing_passes_while_the_path_is_dark_and_all_does_before_and_after() {
        let start = origin();
        let outage = Recurring { every: Duration::from_secs(10), lasts: Duration::from_secs(3) };
        let mut path = Path::outbound(Conditions { outage: Some(outage), ..Conditions::default() }, 1);
        let dark: Vec<u64> = (0..20)
            .filter(|&second| path.decide(start + Duration::from_secs(second)) == Fate::Drop)
            .collect();
        assert_eq!(dark, [7, 8, 9, 17, 18, 19]);
    }

    #[test]
    fn packets_overtake_one_another_only_where_they_may() {
        let start = origin();
        let overtaken = |reordering| {
            let jitter = Duration::from_millis(40);
            let mut path = Path::outbound(Conditions { jitter, reordering, ..Conditions::default() }, 5);
            let arrivals: Vec<_> = (0..100)
                .filter_map(|n| match path.decide(start + Duration::from_millis(n)) {
                    Fate::Deliver { at, .. } => Some(at),
                    Fate::Refuse { .. } | Fate::Drop => None,
                })
                .collect();
            arrivals.windows(2).filter(|pair| pair[1] < pair[0]).count()
        };
        assert_eq!(overtaken(0.0), 0);
        assert!(overtaken(1.0) > 20, "{}", overtaken(1.0));
    }

    proptest! {
        #[test]
        fn packets_arrive_in_order_and_within_delay_and_jitter(
            seed: u64,
            gaps in prop::collection::vec(0_u64..3_000, 1..200),
        ) {
            let start = origin();
            let mut path = Path::outbound(Conditions { loss: 0.1, duplication: 0.1, ..conditions() }, seed);
            let (mut now, mut latest) = (start, start);
            for gap in gaps {
                now += Duration::from_micros(gap);
                if let Fate::Deliver { at, copy, .. } = path.decide(now) {
                    for at in [Some(at), copy].into_iter().flatten() {
                        let held = at - now;
                        prop_assert!(at >= latest);
                        prop_assert!(held >= Duration::from_millis(10) && held <= Duration::from_millis(12));
                        latest = at;
                    }
                }
            }
        }
    }
}
