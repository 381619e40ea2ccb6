//! What a spool gives up is counted once, and told until the collector has signed for it.

use super::*;
use crate::spool::given_up::Going;

/// What a spool tells the collector: uplink, reason, measurements, turns and unread batches of each entry, in order.
pub(super) fn told(spool: &Spool) -> Vec<(String, DropReason, u64, u64, u64)> {
    let entries = spool.given_up.account.part().map(|account| account.entries).unwrap_or_default();
    let row = |entry: DropEntry| {
        (entry.uplink, entry.reason, entry.measurements, entry.turns, entry.unread_batches)
    };
    let mut rows: Vec<_> = entries.into_iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn the_oldest_batches_are_dropped_and_counted_when_a_bound_is_reached() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let length = {
        append(&mut spool, 0);
        spool.counts().bytes
    };
    drop(spool);
    let settings = SpoolSettings { max_bytes: length * 7 / 2, max_age: Duration::from_mins(1) };
    let mut spool = open(&directory, settings);
    spool.begin_session(SessionId::new([3; 16]));
    for second in 1..10 {
        append(&mut spool, second);
    }
    // Batches grow a little once they tell of those that went before.
    let Counts { batches, bytes, dropped, .. } = spool.counts();
    assert!((2..=3).contains(&batches) && bytes <= settings.max_bytes, "{batches} batches of {bytes} bytes");
    assert_eq!(batches + dropped, 10);
    let kept: Vec<_> = spool.keys().map(|key| (key.newest_end.as_secs() - START).unsigned_abs()).collect();
    assert_eq!(kept, (11 - batches..11).collect::<Vec<_>>());
    spool.expire(Timestamp::from_secs(START + 70)).unwrap();
    assert_eq!((spool.counts().batches, spool.counts().dropped), (1, 9));
}

#[test]
fn no_bound_drops_the_batch_that_is_being_pushed() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings { max_bytes: 1, max_age: Duration::from_mins(1) });
    let settings = std::mem::take(&mut spool.settings);
    let keys = [1, 2, 3].map(|second| append(&mut spool, second));
    spool.settings = settings;
    spool.pushes(keys[0]);
    spool.keep_within_bytes().unwrap();
    spool.expire(Timestamp::from_secs(START + 3_600)).unwrap();
    assert_eq!((spool.keys().collect::<Vec<_>>(), spool.counts().dropped), (vec![keys[0]], 2));
    spool.acknowledge(keys[0], 0, None, CREATED).unwrap();
    assert_eq!((spool.counts().batches, spool.counts().acknowledged), (0, 1));
}

#[test]
fn what_was_given_up_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = [1, 2, 3, 4].map(|second| append(&mut spool, second));
    damage(&spool.directory.batch(keys[0]), 0, true);
    assert_eq!(spool.read(keys[0]).unwrap(), None);
    spool.reject(keys[1], DropReason::Rejected).unwrap();
    spool.acknowledge(keys[2], 5, None, CREATED).unwrap();
    spool.expire(Timestamp::from_secs(START).plus(SpoolSettings::DEFAULT_MAX_AGE * 2)).unwrap();
    let given_up = |counts: Counts| {
        (counts.dropped, counts.corrupt, counts.rejected, counts.refused_measurements, counts.batches)
    };
    assert_eq!(given_up(spool.counts()), (1, 1, 1, 5, 0));
    drop(spool);
    assert_eq!(given_up(open(&directory, SpoolSettings::default()).counts()), (1, 1, 1, 5, 0));
}

#[test]
fn the_next_batch_tells_what_was_dropped_until_the_collector_has_signed_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = [1, 2, 3].map(|second| append(&mut spool, second));
    spool.reject(keys[0], DropReason::RejectedTooOld).unwrap();
    spool.set_too_large_aside(keys[1]).unwrap();
    damage(&spool.directory.batch(keys[2]), 0, true);
    assert_eq!(spool.read(keys[2]).unwrap(), None);
    let key = append(&mut spool, 4);
    let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
    let account = batch.health.dropped.unwrap();
    let of = |uplink: &str, reason, measurements, unread| {
        (uplink.to_owned(), reason, measurements, measurements, unread)
    };
    let expected = [
        of("", DropReason::Corrupt, 0, 1),
        of("site-0", DropReason::TooLarge, 1, 0),
        of("site-0", DropReason::RejectedTooOld, 1, 0),
        of("site-1", DropReason::TooLarge, 1, 0),
        of("site-1", DropReason::RejectedTooOld, 1, 0),
    ];
    assert_eq!(told(&spool), expected);
    let seconds: Vec<_> = account.entries.iter().map(|entry| entry.first.as_secs() - START).collect();
    assert_eq!(seconds, [1, 1, 2, 2, 0], "and when it was measured");
    drop(spool);
    let mut spool = open(&directory, SpoolSettings::default());
    assert_eq!(told(&spool), expected, "a restart forgets nothing");
    spool.acknowledge(key, 0, Some(account.signed()), CREATED).unwrap();
    assert_eq!(told(&spool), []);
    assert_eq!(spool.counts().lost_measurements, 4);
}

#[test]
fn a_batch_that_was_counted_before_a_crash_goes_after_it_and_is_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = [1, 2].map(|second| append(&mut spool, second));
    let held = spool.held(keys[0], DropReason::SpoolFull);
    // The process ends between the count and the deed.
    let going = vec![Going { name: file_name(keys[0]), apart: None }];
    spool
        .give_up(
            |counts| {
                counts.dropped += 1;
                held
            },
            going,
        )
        .unwrap();
    drop(spool);
    let mut spool = open(&directory, SpoolSettings::default());
    assert_eq!((spool.keys().collect::<Vec<_>>(), spool.counts().dropped), (vec![keys[1]], 1));
    assert_eq!(listing(directory.path()), [file_name(keys[1])].into());
    spool.reject(keys[1], DropReason::Rejected).unwrap();
    assert_eq!(spool.counts().lost_measurements, 4);
    assert_eq!(told(&spool).len(), 4, "two uplinks and two reasons");
}

#[cfg(unix)]
#[test]
fn what_the_disk_does_not_take_is_told_as_soon_as_it_takes_something() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let key = Key { newest_end: Timestamp::from_secs(START + 2), session: SESSION, sequence: 0 };
    // A directory in the batch's place refuses it, to root as well.
    fs::create_dir(spool.directory.batch(key)).unwrap();
    assert!(spool.append(draft(1, 3), CREATED, None).is_err());
    assert_eq!(spool.counts().lost_measurements, 0, "not durable yet");
    append(&mut spool, 2);
    assert_eq!(spool.counts().lost_measurements, 3);
    let told: Vec<_> = told(&spool).into_iter().map(|row| (row.1, row.2)).collect();
    assert_eq!(told, [(DropReason::Unwritable, 1); 3]);
}
