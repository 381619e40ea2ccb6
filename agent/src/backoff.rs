//! How long to wait before trying again: exponential with jitter, and never less than the collector asks for. Pure.

use std::time::Duration;

/// Grows with every failure in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits about `first` after the first failure, twice as long after each further one, at most `cap`.
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, failures: 0 }
    }

    /// The wait after one more failure: between half and all of the exponential wait, as `random` in 0..1 decides. Whoever
    /// `asked` for a wait knows better than the failures so far: that and up to a quarter more, at most an hour.
    pub fn failed(&mut self, random: f64, asked: Option<Duration>) -> Duration {
        if let Some(asked) = asked {
            let asked = asked.clamp(self.first / 2, Duration::from_hours(1));
            return asked.mul_f64(1.0 + random.clamp(0.0, 1.0) / 4.0);
        }
        let exponential = self
            .first
            .checked_mul(1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX))
            .unwrap_or(self.cap)
            .min(self.cap);
        self.failures = self.failures.saturating_add(1);
        exponential.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// Begins anew after a success.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_the_cap_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(5));
        let waits: Vec<_> = (0..12).map(|_| backoff.failed(1.0, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        backoff.succeeded();
        assert_eq!(backoff.failed(0.0, None), Duration::from_millis(500));
        assert_eq!(backoff.failed(0.0, Some(Duration::from_secs(70))), Duration::from_secs(70));
    }

    proptest! {
        #[test]
        fn a_wait_is_never_zero_nor_beyond_the_cap(failures in 0_u32..200, random in 0.0..1.0_f64) {
            let cap = Duration::from_mins(5);
            let mut backoff = Backoff { first: Duration::from_secs(1), cap, failures };
            let wait = backoff.failed(random, None);
            prop_assert!(wait >= Duration::from_millis(500) && wait <= cap);
        }
    }
}
