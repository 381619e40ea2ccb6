//! Waiting without sleeping blindly: polls a condition until it holds or a deadline has passed.

use std::{fmt, time::Duration};
use tokio::time::Instant;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The condition did not come to hold in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not happen within {within:?}{}", last.as_ref().map(|last| format!("; last seen: {last}")).unwrap_or_default())]
pub struct NotInTime {
    what: String,
    within: Duration,
    last: Option<String>,
}

/// What a look at a condition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// It holds.
    Holds(T),
    /// Not yet; what was seen instead.
    NotYet(String),
}

/// Looks again and again until the condition holds. `what` completes the sentence "… did not happen".
pub async fn eventually<T>(
    what: impl fmt::Display,
    within: Duration,
    mut look: impl AsyncFnMut() -> Look<T>,
) -> Result<T, NotInTime> {
    let deadline = Instant::now() + within;
    loop {
        let last = match look().await {
            Look::Holds(value) => return Ok(value),
            Look::NotYet(seen) => seen,
        };
        if Instant::now() >= deadline {
            let last = (!last.is_empty()).then_some(last);
            return Err(NotInTime { what: what.to_string(), within, last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_comes_to_hold_is_awaited() {
        let mut looks = 0;
        let found = eventually("the third look", Duration::from_secs(1), async || {
            looks += 1;
            if looks == 3 { Look::Holds(looks) } else { Look::NotYet(String::new()) }
        });
        assert_eq!(found.await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_never_holds_says_what_was_seen() {
        let found =
            eventually::<()>("rain", Duration::from_secs(1), async || Look::NotYet("sunshine".into())).await;
        assert_eq!(found.unwrap_err().to_string(), "rain did not happen within 1s; last seen: sunshine");
    }
}
