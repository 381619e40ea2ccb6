use super::*;
use crate::{
    identity::Identity,
    registry::Registry,
    store::{
        PutOutcome, Store as _,
        fixture::{DAY, MIDNIGHT, MINUTE, admitted, batch, caller, each, everything, measurement, scheduled},
    },
};
use peerlight_proto::batch::Batch;

fn minute(sequence: u64) -> Batch {
    let start = MIDNIGHT.plus(MINUTE * u32::try_from(sequence).unwrap());
    batch(&caller(1, 1), sequence, vec![measurement(0, start, 60, &[20_000, 30_000])])
}

/// A collector's directory, whose store holds these batches.
fn made(directory: &Path) -> SqliteStore {
    private_file::create_directory(directory).unwrap();
    Identity::open(directory).unwrap();
    Registry::open(&paths::registry(directory)).unwrap();
    SqliteStore::open(&paths::store(directory)).unwrap()
}

async fn put(store: &SqliteStore, sequence: u64) -> PutOutcome {
    let received = MIDNIGHT.plus(MINUTE * (10 + u32::try_from(sequence).unwrap()));
    store.put(admitted(&caller(1, 1), minute(sequence), received)).await.unwrap()
}

async fn stored(store: &SqliteStore) -> u64 {
    scheduled(&each(store, everything(1, MIDNIGHT, MIDNIGHT.plus(DAY))).await.unwrap())
}

#[tokio::test]
async fn a_backup_of_a_running_collector_brings_back_what_was_acknowledged_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let (live, copy) = (directory.path().join("live"), directory.path().join("backups/monday"));
    fs::create_dir(directory.path().join("backups")).unwrap();
    let store = made(&live);
    for sequence in 0..5 {
        put(&store, sequence).await;
    }
    let copied = back_up(&live, &copy, &mut |_done, _of| {}).unwrap();
    assert_eq!(copied.newest_received, Some(MIDNIGHT.plus(MINUTE * 14)));
    let error = back_up(&live, &copy, &mut |_done, _of| {}).unwrap_err().to_string();
    assert!(error.ends_with("is there already; name a directory that is not"), "{error}");
    for sequence in 5..8 {
        put(&store, sequence).await;
    }
    let error = restore(&copy, &live, MIDNIGHT, &mut |_done, _of| {}).unwrap_err().to_string();
    assert!(error.contains("belongs to a running collector"), "{error}");
    drop(store);

    let ca = fs::read(paths::ca(&live)).unwrap();
    let restored = restore(&copy, &live, MIDNIGHT, &mut |_done, _of| {}).unwrap();
    assert_eq!((restored.verified.log_batches, restored.verified.faults), (5, 0));
    assert_eq!(restored.copied.newest_received, copied.newest_received);
    assert_eq!(fs::read(paths::ca(&live)).unwrap(), ca);
    let store = SqliteStore::open(&paths::store(&live)).unwrap();
    assert_eq!(stored(&store).await, 5 * 3);
    // What was lost comes again, and what was not changes nothing.
    for sequence in 0..8 {
        let expected = if sequence < 5 { PutOutcome::Duplicate } else { PutOutcome::Stored };
        assert_eq!(put(&store, sequence).await, expected);
    }
    assert_eq!(stored(&store).await, 8 * 3);
    let aside = SqliteStore::open(&paths::store(&restored.replaced.unwrap())).unwrap();
    assert_eq!(stored(&aside).await, 8 * 3, "what was replaced is still there");
}

#[tokio::test]
async fn a_backup_that_is_not_sound_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (live, copy) = (directory.path().join("live"), directory.path().join("copy"));
    let store = made(&live);
    put(&store, 0).await;
    back_up(&live, &copy, &mut |_done, _of| {}).unwrap();
    drop(store);
    Connection::open(paths::store(&copy)).unwrap().execute("DELETE FROM batch", []).unwrap();
    let error = restore(&copy, &live, MIDNIGHT, &mut |_done, _of| {}).unwrap_err().to_string();
    assert_eq!(
        error,
        "the backup is not sound, nothing was changed:\n  3 turns of schedules were acknowledged, but 0 are there, \
         0 expired and 0 were set aside"
    );
    assert_eq!(stored(&SqliteStore::open(&paths::store(&live)).unwrap()).await, 3);
    let error = restore(directory.path(), &live, MIDNIGHT, &mut |_done, _of| {}).unwrap_err().to_string();
    assert!(error.contains("holds no collector's files: there is no"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_a_backup() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (live, copy) = (directory.path().join("live"), directory.path().join("copy"));
    drop(made(&live));
    back_up(&live, &copy, &mut |_done, _of| {}).unwrap();
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o700);
    for file in files(&copy).unwrap() {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}
