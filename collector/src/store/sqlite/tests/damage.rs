//! A file that was damaged: what is hit is told and set aside, and the rest goes on.

use super::*;

#[tokio::test]
async fn a_damaged_batch_is_told_and_set_aside_when_the_log_is_folded() {
    let Opened { store, directory } = open();
    put(&store, minute(0, 0)).await.unwrap();
    put(&store, minute(1, 20)).await.unwrap();
    assert_eq!(meddle(&directory, "UPDATE batch SET block = x'28B52FFD00' WHERE newest_start % 900 = 0"), 1);
    let error = answer(&store).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { what: "block of measurements", .. }), "{error}");
    store.fold(NOW, true).await.unwrap();
    let health = store.health().await.unwrap();
    assert_eq!((health.log_batches, health.damaged_batches), (0, 1));
    let missing = store.dropped(OrganisationId(1), MIDNIGHT, NOW.plus(DAY)).await.unwrap();
    let rows: Vec<_> =
        missing.iter().map(|one| (one.reason.as_str(), one.unread_batches, one.turns)).collect();
    assert_eq!(rows, [("damaged", 1, 3)]);
    assert_eq!((missing[0].agent, missing[0].registration), (Some(caller(1, 1).agent), None));
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 3, "the other one");
}

#[tokio::test]
async fn a_batch_that_is_damaged_leaves_nothing_behind_in_the_slice() {
    // A byte follows the last record; the last record ends within a number, which is seen when it is read.
    let damages: [fn(&mut Vec<u8>); 2] = [|block| block.push(0), |block| *block.last_mut().unwrap() = 0xff];
    for damage in damages {
        let Opened { store, directory } = open();
        put(&store, minute(0, 0)).await.unwrap();
        // Nothing else is of its shape.
        let other = Batch { measurements: vec![measurement(1, MIDNIGHT, 60, &[20_000])], ..minute(1, 0) };
        put(&store, other).await.unwrap();
        let db = Connection::open(path(&directory)).unwrap();
        let mut block: Vec<u8> =
            db.query_row("SELECT block FROM batch WHERE id = 2", [], |row| row.get(0)).unwrap();
        damage(&mut block);
        db.execute("UPDATE batch SET block = ?1 WHERE id = 2", [block]).unwrap();
        store.fold(NOW, true).await.unwrap();
        let health = store.health().await.unwrap();
        assert_eq!((health.log_batches, health.damaged_batches), (0, 1));
        assert_eq!(scheduled(&answer(&store).await.unwrap()), 3, "the other one");
    }
}

#[tokio::test]
async fn a_stripe_that_cannot_be_folded_holds_up_no_other_and_loses_nothing() {
    let Opened { store, directory } = open();
    for site in [1, 2] {
        let caller = caller(1, site);
        let batch = Batch { number: batch(&caller, 0, Vec::new()).number, ..minute(0, 0) };
        store.put(admitted(&caller, batch, NOW)).await.unwrap();
    }
    // The second agent is of another stripe, and the first one's origin is gone.
    assert_eq!(meddle(&directory, "UPDATE batch SET agent = 64 WHERE id = 2"), 1);
    assert_eq!(meddle(&directory, "UPDATE origin SET id = 99 WHERE id = 1"), 1);
    let error = store.compact(NOW.plus(DAY)).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { what: "dictionary", .. }), "{error}");
    let count = |table: &str| {
        let db = Connection::open(path(&directory)).unwrap();
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((count("batch"), count("segment")), (2, 3), "measured, its quarter hour and its day");
    assert_eq!(meddle(&directory, "UPDATE origin SET id = 1 WHERE id = 99"), 1);
    store.compact(NOW.plus(DAY)).await.unwrap();
    assert_eq!((count("batch"), count("folded")), (0, 0));
    assert_eq!(scheduled(&answer(&store).await.unwrap()), 6);
}

#[tokio::test]
async fn a_damaged_segment_is_told_and_holds_up_no_other_span() {
    let Opened { store, directory } = open();
    for (sequence, minutes) in [(0, 0), (1, 90), (2, 1)] {
        store.put(admitted(&caller(1, 1), minute(sequence, minutes), MIDNIGHT.plus(DAY))).await.unwrap();
        store.fold(NOW, true).await.unwrap();
    }
    let damage = "UPDATE segment SET block = x'28B52FFD00' WHERE resolution = 0 AND start % 86400 = 0";
    assert_eq!(meddle(&directory, damage), 2);
    let error = answer(&store).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { what: "block of measurements", .. }), "{error}");
    let error = store.compact(NOW.plus(DAY)).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let sound = everything(1, MIDNIGHT.plus(MINUTE * 60), MIDNIGHT.plus(DAY));
    assert_eq!(scheduled(&each(&store, sound).await.unwrap()), 3, "the other hour");
    assert_eq!(store.health().await.unwrap().stale_rollups, 2, "its quarter hour and their day");
}
