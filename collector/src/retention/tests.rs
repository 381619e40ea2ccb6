use super::*;
use crate::store::{
    PutOutcome, SqliteStore,
    fixture::{
        DAY, MIDNIGHT, MINUTE, RETENTION, admitted, batch, caller, each, everything, measurement, scheduled,
    },
};
use peerlight_proto::{batch::Batch, time::Timestamp};
use tempfile::TempDir;

fn opened() -> (Arc<dyn Store>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Arc::new(SqliteStore::open(&directory.path().join("store.sqlite")).unwrap()), directory)
}

/// One minute that began so many minutes after midnight.
fn minute(sequence: u64, minutes: u32) -> Batch {
    let start = MIDNIGHT.plus(MINUTE * minutes);
    batch(&caller(1, 1), sequence, vec![measurement(0, start, 60, &[20_000])])
}

async fn put(store: &dyn Store, batch: Batch, now: Timestamp) -> PutOutcome {
    store.put(admitted(&caller(1, 1), batch, now)).await.unwrap()
}

async fn counted(store: &dyn Store) -> u64 {
    scheduled(&each(store, everything(1, MIDNIGHT, MIDNIGHT.plus(DAY * 30))).await.unwrap())
}

#[tokio::test]
async fn what_waits_is_rolled_up_and_what_is_old_goes_until_shutdown() {
    let (store, _directory) = opened();
    let later = MIDNIGHT.plus(DAY * 4).plus(MINUTE * 10);
    put(store.as_ref(), minute(0, 0), MIDNIGHT.plus(MINUTE)).await;
    put(store.as_ref(), minute(1, 4 * 24 * 60), later).await;

    let shutdown = CancellationToken::new();
    let upkeep = maintain(Arc::clone(&store), Clock::manual(later), RETENTION, shutdown.clone());
    let watch = async {
        while store.health().await.unwrap().ledger_entries > 1 {}
        shutdown.cancel();
    };
    tokio::time::timeout(Duration::from_mins(1), async { tokio::join!(upkeep, watch) }).await.unwrap();
    let health = store.health().await.unwrap();
    assert_eq!(
        (health.log_batches, health.oldest),
        (1, Some(MIDNIGHT.plus(DAY * 4))),
        "what is not over waits"
    );
    assert_eq!(counted(store.as_ref()).await, 4);
}

#[tokio::test]
async fn a_clock_that_is_a_year_ahead_for_a_moment_drops_nothing_and_shuts_nobody_out() {
    let (store, _directory) = opened();
    let store = store.as_ref();
    let now = MIDNIGHT.plus(MINUTE * 10);
    let year = DAY * 365;
    put(store, minute(0, 0), now).await;
    let clock = Clock::manual(now);
    clock.jump(now.plus(year));
    assert_eq!(expire_what_is_old(store, &clock, RETENTION).await.unwrap(), Expired::default());
    // A restart believes the clock that it finds, but not that a year has gone by without a measurement.
    let restarted = Clock::manual(now.plus(year));
    assert_eq!(expire_what_is_old(store, &restarted, RETENTION).await.unwrap(), Expired::default());
    assert_eq!(store.health().await.unwrap().oldest, Some(MIDNIGHT), "minutes are still there");

    clock.jump(now);
    expire_what_is_old(store, &clock, RETENTION).await.unwrap();
    assert_eq!(put(store, minute(0, 0), now).await, PutOutcome::Duplicate, "the ledger knows it");
    assert_eq!(put(store, minute(1, 5), now).await, PutOutcome::Stored, "and takes what is new");
    assert_eq!(counted(store).await, 4);
}

#[tokio::test]
async fn a_clock_that_jumps_to_and_fro_during_all_upkeep_loses_and_doubles_nothing() {
    let (store, _directory) = opened();
    let store = store.as_ref();
    let clock = Clock::manual(MIDNIGHT);
    let jumps = [Duration::ZERO, DAY * 365, Duration::ZERO];
    for hour in 0..60_u32 {
        clock.set(MIDNIGHT.plus(MINUTE * 60 * (hour + 1)));
        let right = clock.now();
        // Right, a year ahead, right again, and a day behind: each for an hour.
        let shown = jumps.get(hour as usize % 4).map_or(right.minus(DAY), |ahead| right.plus(*ahead));
        clock.jump(shown);
        // Only what an hour measured is put, and admission sees the right time: it is not what is tested here.
        let received = if hour % 8 == 1 { shown } else { right };
        let admitted_now =
            put_received(store, minute(u64::from(hour), hour * 60 + 30), right, received).await;
        assert_eq!(admitted_now, PutOutcome::Stored);
        store.compact(shown).await.unwrap();
        expire_what_is_old(store, &clock, RETENTION).await.unwrap();
        clock.jump(right);
        assert_eq!(counted(store).await, 2 * u64::from(hour + 1), "in hour {hour}");
        let again = put(store, minute(u64::from(hour), hour * 60 + 30), right).await;
        assert_eq!(again, PutOutcome::Duplicate);
        let oldest = store.health().await.unwrap().oldest;
        assert!(
            oldest.is_some_and(|oldest| oldest <= MIDNIGHT.plus(MINUTE * 30)),
            "three days are kept as they came"
        );
    }
    store.compact(clock.now().plus(MINUTE * 10)).await.unwrap();
    assert_eq!(store.health().await.unwrap().log_batches, 0, "nothing waits for a clock of the past");
    assert_eq!(counted(store).await, 120);
}

/// Puts a batch that was admitted at one time and noted as received at another.
async fn put_received(store: &dyn Store, batch: Batch, now: Timestamp, received: Timestamp) -> PutOutcome {
    let mut admitted = admitted(&caller(1, 1), batch, now);
    admitted.received = received;
    store.put(admitted).await.unwrap()
}

#[tokio::test]
async fn nothing_goes_before_anything_was_measured() {
    let (store, _directory) = opened();
    let clock = Clock::manual(MIDNIGHT.plus(DAY * 365));
    assert_eq!(expire_what_is_old(store.as_ref(), &clock, RETENTION).await.unwrap(), Expired::default());
    assert_eq!(put(store.as_ref(), minute(0, 0), MIDNIGHT.plus(MINUTE)).await, PutOutcome::Stored);
}
