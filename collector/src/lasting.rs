//! What fails for a while is said when it begins, now and then as long as it lasts, and when it is over: a disk that is
//! full must not be filled with words of it.

use std::time::Duration;
use tokio::time::Instant;

/// How often it is said as long as it lasts.
const SAY_EVERY: Duration = Duration::from_mins(5);

/// Something that mostly works. Pure: it is told the time.
#[derive(Debug, Default)]
pub(crate) struct Lasting {
    began: Option<Instant>,
    said: Option<Instant>,
    failures: u64,
}

/// What has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over {
    /// How long it lasted.
    pub(crate) lasted: Duration,
    /// How much failed.
    pub(crate) failures: u64,
}

impl Lasting {
    /// Counts failures. Returns how many there have been since it began, if that is to be said now.
    pub(crate) fn fails(&mut self, failures: u64, now: Instant) -> Option<u64> {
        self.began.get_or_insert(now);
        self.failures += failures;
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < SAY_EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(self.failures)
    }

    /// It works. Returns what is over by that, if it did not until now.
    pub(crate) fn works(&mut self, now: Instant) -> Option<Over> {
        let began = self.began?;
        let over = Over { lasted: now.saturating_duration_since(began), failures: self.failures };
        *self = Self::default();
        Some(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_when_it_begins_every_five_minutes_and_when_it_is_over() {
        let (start, mut lasting) = (Instant::now(), Lasting::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(lasting.works(at(0)), None);
        assert_eq!(lasting.fails(3, at(1)), Some(3));
        assert_eq!(lasting.fails(1, at(2)), None);
        assert_eq!(lasting.fails(1, at(300)), None);
        assert_eq!(lasting.fails(1, at(301)), Some(6));
        assert_eq!(lasting.works(at(302)), Some(Over { lasted: Duration::from_secs(301), failures: 6 }));
        assert_eq!(lasting.works(at(303)), None);
        assert_eq!(lasting.fails(1, at(304)), Some(1), "the next one is said at once");
    }
}
