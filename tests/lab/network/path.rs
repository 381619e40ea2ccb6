//! One direction of a path: decides, purely, when a packet arrives or that it never does.

use crate::scenario::Conditions;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::{Duration, Instant};

/// Half of a round trip: a site's packets on their way out, or those on their way back.
#[derive(Debug)]
pub struct Path {
    delay: Duration,
    jitter: Duration,
    loss: f64,
    random: StdRng,
    latest: Option<Instant>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at this instant.
    DeliverAt(Instant),
    /// It is lost.
    Drop,
}

impl Path {
    /// One direction of a path with these `conditions`; both directions together make up the round trip's.
    pub fn half_of(conditions: Conditions, seed: u64) -> Self {
        Self {
            delay: conditions.delay / 2,
            jitter: conditions.jitter / 2,
            // Both halves must let a packet through: (1 - half)² = 1 - loss.
            loss: 1.0 - (1.0 - conditions.loss).sqrt(),
            random: StdRng::seed_from_u64(seed),
            latest: None,
        }
    }

    /// The whole round trip at once, as an echo server imitates it where there are no paths.
    pub fn round_trip(conditions: Conditions, seed: u64) -> Self {
        Self {
            delay: conditions.delay,
            jitter: conditions.jitter,
            loss: conditions.loss,
            random: StdRng::seed_from_u64(seed),
            latest: None,
        }
    }

    /// Decides about a packet that enters the path at `now`. Packets never overtake one another.
    pub fn decide(&mut self, now: Instant) -> Fate {
        let lost = self.random.random::<f64>() < self.loss;
        let jitter = self.jitter.mul_f64(self.random.random::<f64>());
        if lost {
            return Fate::Drop;
        }
        let at = (now + self.delay + jitter).max(self.latest.unwrap_or(now));
        self.latest = Some(at);
        Fate::DeliverAt(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONDITIONS: Conditions =
        Conditions { delay: Duration::from_millis(20), jitter: Duration::from_millis(4), loss: 0.19 };

    #[expect(clippy::disallowed_methods, reason = "an origin; the tests add to it")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let start = origin();
        let fates = |seed| {
            let mut path = Path::half_of(CONDITIONS, seed);
            (0..100).map(|n| path.decide(start + Duration::from_millis(n))).collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn two_halves_lose_what_the_round_trip_loses() {
        let start = origin();
        let (mut out, mut back) = (Path::half_of(CONDITIONS, 1), Path::half_of(CONDITIONS, 2));
        let lost = (0..100_000)
            .filter(|_| out.decide(start) == Fate::Drop || back.decide(start) == Fate::Drop)
            .count();
        assert!((18_500..19_500).contains(&lost), "lost {lost} of 100,000 at 19 %");
    }

    proptest! {
        #[test]
        fn packets_arrive_in_order_and_within_delay_and_jitter(
            seed: u64,
            gaps in prop::collection::vec(0_u64..3_000, 1..200),
        ) {
            let start = origin();
            let mut path = Path::half_of(Conditions { loss: 0.1, ..CONDITIONS }, seed);
            let (mut now, mut latest) = (start, start);
            for gap in gaps {
                now += Duration::from_micros(gap);
                if let Fate::DeliverAt(at) = path.decide(now) {
                    let held = at - now;
                    prop_assert!(at >= latest);
                    prop_assert!(held >= Duration::from_millis(10) && held <= Duration::from_millis(12));
                    latest = at;
                }
            }
        }
    }
}
