//! When something that was not delivered is tried again. Pure.

use super::Refusal;
use crate::registry::DeliveryOutcome;
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// How long after the first failure it is tried again; each further one doubles it.
const FIRST: Duration = Duration::from_secs(15);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(30);
/// How long it is tried.
pub(super) const PATIENCE: Duration = Duration::from_hours(24);

/// What becomes of an event that was to be told first at `created` and has been tried `attempts` times before.
pub(super) fn outcome(
    result: Result<(), Refusal>,
    (created, attempts): (Timestamp, u32),
    now: Timestamp,
) -> DeliveryOutcome {
    match result {
        Ok(()) => DeliveryOutcome::Delivered,
        Err(Refusal::Never(error)) => DeliveryOutcome::GivenUp { error },
        Err(Refusal::Later(error)) if now.since(created) >= PATIENCE => DeliveryOutcome::GivenUp { error },
        Err(Refusal::Later(error)) => DeliveryOutcome::Later { at: now.plus(wait(attempts)), error },
    }
}

fn wait(attempts: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_ever_more_seldom_for_a_day() {
        let waits: Vec<u64> = [0, 1, 2, 6, 7, 100].map(|attempts| wait(attempts).as_secs()).into();
        assert_eq!(waits, [15, 30, 60, 960, 1_800, 1_800]);
        let (created, failed) = (Timestamp::from_secs(0), || Err(Refusal::Later("busy".into())));
        let at = |seconds| outcome(failed(), (created, 3), Timestamp::from_secs(seconds));
        assert_eq!(at(60), DeliveryOutcome::Later { at: Timestamp::from_secs(180), error: "busy".into() });
        assert_eq!(at(86_400), DeliveryOutcome::GivenUp { error: "busy".into() });
    }

    #[test]
    fn what_is_refused_for_what_it_is_is_not_tried_again() {
        let now = Timestamp::from_secs(9);
        let refused = outcome(Err(Refusal::Never("it answered 400".into())), (now, 0), now);
        assert_eq!(refused, DeliveryOutcome::GivenUp { error: "it answered 400".into() });
        assert_eq!(outcome(Ok(()), (now, 0), now), DeliveryOutcome::Delivered);
    }
}
