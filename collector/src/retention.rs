//! The background work of the store: the log is folded, rollups are recomputed, and what is too old goes.

use crate::store::{Retention, Store};
use peerlight_proto::time::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often the store looks whether something is to be folded or rolled up. Answers are right in between, too: they read
/// the log and what is finer.
const COMPACT_EVERY: Duration = Duration::from_secs(15);
/// How often what is too old goes.
const EXPIRE_EVERY: Duration = Duration::from_hours(1);

/// Keeps the rollups fresh and the retention until `shutdown`. Failures are logged and tried again at the next turn.
pub async fn maintain(
    store: Arc<dyn Store>,
    now: impl Fn() -> Timestamp + Send,
    retention: Retention,
    shutdown: CancellationToken,
) {
    let mut compact = tokio::time::interval(COMPACT_EVERY);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    for turn in [&mut compact, &mut expire] {
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = compact.tick() => {
                if let Err(error) = store.compact(now()).await {
                    tracing::error!(%error, "the log or rollups could not be compacted; reports read what is finer until they are");
                }
            }
            _ = expire.tick() => match store.expire(now(), retention).await {
                Ok(expired) => tracing::debug!(?expired, "dropped what is too old"),
                Err(error) => tracing::error!(%error, "what is too old could not be dropped; the disk fills"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        SqliteStore,
        fixture::{
            DAY, MIDNIGHT, MINUTE, RETENTION, admitted, batch, caller, each, everything, measurement,
            scheduled,
        },
    };

    #[tokio::test]
    async fn what_waits_is_rolled_up_and_what_is_old_goes_until_shutdown() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&directory.path().join("store.sqlite")).unwrap());
        let caller = caller(1, 1);
        let batch = batch(&caller, 0, vec![measurement(0, MIDNIGHT, 60, &[20_000])]);
        store.put(admitted(&caller, batch, MIDNIGHT.plus(MINUTE))).await.unwrap();

        let shutdown = CancellationToken::new();
        let later = || MIDNIGHT.plus(DAY * 4);
        let upkeep = maintain(Arc::clone(&store), later, RETENTION, shutdown.clone());
        let watch = async {
            while store.health().await.unwrap().ledger_entries > 0 {}
            shutdown.cancel();
        };
        tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(upkeep, watch) }).await.unwrap();
        let health = store.health().await.unwrap();
        assert_eq!((health.log_batches, health.oldest, health.stale_rollups), (0, None, 0));
        let rows = each(store.as_ref(), everything(1, MIDNIGHT, MIDNIGHT.plus(DAY))).await.unwrap();
        assert_eq!(scheduled(&rows), 2);
    }
}
