//! The background work of the store: rollups are recomputed, and what is too old goes.

use crate::store::{Retention, Store};
use peerlight_proto::time::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often stale rollups are looked for. Answers are right in between, too: they read finer rows.
const ROLL_UP_EVERY: Duration = Duration::from_secs(15);
/// How often what is too old goes.
const EXPIRE_EVERY: Duration = Duration::from_hours(1);

/// Keeps the rollups fresh and the retention until `shutdown`. Failures are logged and tried again at the next turn.
pub async fn maintain(
    store: Arc<dyn Store>,
    now: impl Fn() -> Timestamp + Send,
    retention: Retention,
    shutdown: CancellationToken,
) {
    let mut roll_up = tokio::time::interval(ROLL_UP_EVERY);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    for turn in [&mut roll_up, &mut expire] {
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = roll_up.tick() => {
                if let Err(error) = store.roll_up(now()).await {
                    tracing::error!(%error, "rollups could not be recomputed; reports read finer rows until they are");
                }
            }
            _ = expire.tick() => match store.expire(now(), retention).await {
                Ok(expired) => tracing::debug!(?expired, "dropped what is too old"),
                Err(error) => tracing::error!(%error, "what is too old could not be dropped; the disk fills"),
            }
        }
    }
}
