//! Exchanges: how one request and its answer are judged. Pure but for [`now`].

use crate::sample::{Outcome, Reading};
use peerlight_proto::{measurement::Ending, metric::Metric, series::Clock};
use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// How much longer than this process's own time a kernel's may be: the two clocks are read at slightly different
/// moments. Beyond it one of them was stepped.
const MARGIN: Duration = Duration::from_millis(1);
/// The longest text of an attribute, in bytes.
const MAX_TEXT: usize = peerlight_proto::limits::MAX_TEXT_BYTES;

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// What timed it, or would have.
    pub(crate) clock: Clock,
    /// The ending, with its time.
    pub(crate) outcome: Outcome,
    /// What went wrong, in words.
    pub(crate) error: Option<String>,
    /// When its request was handed to the kernel, where the engine says so.
    pub(crate) handed: Option<Instant>,
}

impl Exchange {
    /// An exchange that was answered after `user` by this process's clock and after `stamped` nanoseconds by a better one
    /// where there is one.
    pub(crate) fn timed(stamped: Option<(Clock, i64)>, user: Duration, timeout: Duration) -> Self {
        let Some((clock, nanos)) = stamped else {
            return Self { outcome: judge(user, user, timeout), ..Self::lost(Clock::User) };
        };
        match u64::try_from(nanos).map(Duration::from_nanos) {
            Ok(latency) if latency <= user + MARGIN => {
                Self { outcome: judge(latency, user, timeout), ..Self::lost(clock) }
            }
            _ => Self::failed(
                clock,
                Ending::Voided,
                format!("the kernel's clock says {nanos} ns, this process's {} ns", user.as_nanos()),
            ),
        }
    }

    /// An exchange without an answer and without anything to say about it.
    pub(crate) fn lost(clock: Clock) -> Self {
        Self { clock, outcome: Outcome::Failed(Ending::Lost), error: None, handed: None }
    }

    /// An exchange that failed.
    pub(crate) fn failed(clock: Clock, ending: Ending, error: impl Display) -> Self {
        let error = Some(clip(&error.to_string()));
        Self { outcome: Outcome::Failed(ending), error, ..Self::lost(clock) }
    }

    /// The same of a request that was handed to the kernel at `handed`.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux's engine uses it"))]
    pub(crate) fn handed_at(self, handed: Instant) -> Self {
        Self { handed: Some(handed), ..self }
    }

    /// As the reading of a metric that no HTTP version or handshake distinguishes.
    pub(crate) fn reading(&self, metric: Metric) -> Reading {
        Reading { metric, clock: self.clock, outcome: self.outcome, http_version: None, handshake: None }
    }
}

/// Answered within the time-out, or late.
pub(crate) fn judge(latency: Duration, user_latency: Duration, timeout: Duration) -> Outcome {
    if latency <= timeout {
        Outcome::Answered { latency, user_latency }
    } else {
        Outcome::Failed(Ending::Late)
    }
}

/// `text` on one line, cut to what an attribute may hold.
pub(crate) fn clip(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line[..line.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// This instant, on the clock that never goes back.
#[expect(clippy::disallowed_methods, reason = "probes are what measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn timed(nanos: i64, user_us: u64) -> Outcome {
        Exchange::timed(Some((Clock::Kernel, nanos)), Duration::from_micros(user_us), TIMEOUT).outcome
    }

    #[test]
    fn the_kernels_time_stands_when_the_process_took_longer() {
        let latency = Duration::from_millis(20);
        let user_latency = Duration::from_millis(80);
        assert_eq!(timed(20_000_000, 80_000), Outcome::Answered { latency, user_latency });
    }

    #[test]
    fn clocks_that_disagree_void_the_probe() {
        assert_eq!(timed(-1, 80_000), Outcome::Failed(Ending::Voided));
        assert_eq!(timed(81_000_001, 80_000), Outcome::Failed(Ending::Voided));
        assert!(matches!(timed(81_000_000, 80_000), Outcome::Answered { .. }));
    }

    #[test]
    fn an_answer_after_the_timeout_is_late_by_the_clock_that_counts() {
        assert!(matches!(timed(1_999_000_000, 2_500_000), Outcome::Answered { .. }));
        assert_eq!(timed(2_000_000_001, 2_500_000), Outcome::Failed(Ending::Late));
        let user = Exchange::timed(None, TIMEOUT + Duration::from_nanos(1), TIMEOUT);
        assert_eq!((user.clock, user.outcome), (Clock::User, Outcome::Failed(Ending::Late)));
    }

    #[test]
    fn texts_are_one_line_of_whole_characters() {
        assert_eq!(clip("a\n b"), "a b");
        let clipped = clip(&"é".repeat(200));
        assert!(clipped.len() == MAX_TEXT && clipped.chars().all(|c| c == 'é'));
    }
}
