//! The background work of the store: the log is folded, rollups are recomputed, and what is too old goes.

use crate::{
    clock::Clock,
    lasting::Lasting,
    store::{Expired, Retention, Store, StoreError},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the store looks whether something is to be folded or rolled up. Answers are right in between, too: they read
/// the log and what is finer.
const COMPACT_EVERY: Duration = Duration::from_secs(15);
/// How often what is too old goes.
const EXPIRE_EVERY: Duration = Duration::from_hours(1);
/// How far the clock may be ahead of the newest measurement for what is too old: in normal life it is minutes.
const AHEAD: Duration = Duration::from_hours(1);

/// Keeps the rollups fresh and the retention until `shutdown`. Failures are logged and tried again at the next turn.
pub async fn maintain(
    store: Arc<dyn Store>,
    clock: Clock,
    retention: Retention,
    shutdown: CancellationToken,
) {
    let mut compact = tokio::time::interval(COMPACT_EVERY);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    for turn in [&mut compact, &mut expire] {
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    let mut failing = Lasting::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = compact.tick() => match store.compact(clock.now()).await {
                Ok(_spans) => {
                    if let Some(over) = failing.works(Instant::now()) {
                        tracing::warn!(lasted_s = over.lasted.as_secs(), "log and rollups are compacted again");
                    }
                }
                Err(error) => {
                    if failing.fails(1, Instant::now()).is_some() {
                        tracing::error!(%error, "the log or rollups could not be compacted; reports read what is finer until they are");
                    }
                }
            },
            _ = expire.tick() => match expire_what_is_old(store.as_ref(), &clock, retention).await {
                Ok(expired) => tracing::debug!(?expired, "dropped what is too old"),
                Err(error) => tracing::error!(%error, "what is too old could not be dropped; the disk fills"),
            }
        }
    }
}

/// Drops what the retention no longer keeps. That cannot be taken back, so a clock that jumped is not believed, and no
/// clock is believed farther than the newest measurement shows that time has come: what is kept is kept until newer data
/// take its place.
async fn expire_what_is_old(
    store: &dyn Store,
    clock: &Clock,
    retention: Retention,
) -> Result<Expired, StoreError> {
    if let Some(jumped_us) = clock.jumped() {
        tracing::warn!(jumped_s = jumped_us / 1_000_000, "nothing is dropped while the clock is in doubt");
        return Ok(Expired::default());
    }
    let now = clock.now();
    match store.newest().await? {
        Some(newest) => store.expire(now.min(newest.plus(AHEAD)), retention).await,
        None => Ok(Expired::default()),
    }
}

#[cfg(test)]
mod tests;
