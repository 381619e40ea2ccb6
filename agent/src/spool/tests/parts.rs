//! Batches that the collector, or one push, finds too large.

use super::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};

#[test]
fn a_split_names_its_parent_and_keeps_every_measurement() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let key = spool.append(draft(1, 5), CREATED, Some(42)).unwrap()[0];
    let parent = spool.read(key).unwrap().unwrap();
    assert!(spool.split(&parent, CREATED).unwrap());
    assert_eq!(listing(directory.path()).len(), 2);
    let mut uplinks = BTreeSet::new();
    for (index, key) in (0..).zip(spool.keys().collect::<Vec<_>>()) {
        let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
        let part = batch.part.unwrap();
        assert_eq!((part.session, part.sequence, part.digest), (SESSION, 0, parent.digest));
        assert_eq!((part.index, part.count, batch.clock_offset_us), (index, 2, Some(42)));
        uplinks.extend(batch.measurements.iter().map(|m| batch.series[m.series as usize].key.uplink.clone()));
    }
    assert_eq!(uplinks.len(), 5);
    let single = spool.append(draft(2, 1), CREATED, None).unwrap()[0];
    let single = spool.read(single).unwrap().unwrap();
    assert!(!spool.split(&single, CREATED).unwrap(), "one measurement cannot be split");
}

#[test]
fn a_batch_that_is_too_large_for_one_push_is_spooled_as_two() {
    let mut large = draft(1, 4_000);
    for (number, series) in (0_u16..).zip(&mut large.series) {
        // Texts that do not compress below their 192 bytes.
        let text = |field: u8| {
            let digest =
                |part: u8| *BatchDigest::of(&[number.to_le_bytes(), [field, part]].concat()).as_bytes();
            STANDARD.encode([0, 1, 2, 3, 4, 5].map(digest).concat())
        };
        series.key.uplink = text(0).into();
        std::sync::Arc::make_mut(&mut series.target).name = text(1);
    }
    let expected: BTreeSet<_> = large.series.iter().map(|series| series.key.uplink.clone()).collect();
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let keys = spool.append(large, CREATED, None).unwrap();
    assert_eq!(keys.len(), 2);
    let mut uplinks = BTreeSet::new();
    for key in keys {
        let waiting = spool.read(key).unwrap().unwrap();
        assert!(waiting.bytes.len() <= limits::MAX_BODY_BYTES);
        let batch = decode_batch(&waiting.bytes).unwrap().batch;
        assert_eq!((batch.part, batch.measurements.len()), (None, 2_000));
        uplinks.extend(batch.measurements.iter().map(|m| batch.series[m.series as usize].key.uplink.clone()));
    }
    assert_eq!(uplinks, expected, "each measurement once, with its own series");
}

#[test]
fn a_crash_within_a_split_leaves_the_parent_or_all_parts() {
    for committed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = open(&directory, SpoolSettings::default());
        let key = spool.append(draft(1, 4), CREATED, None).unwrap()[0];
        let parent = file_name(key);
        let parts: Vec<String> = (7..9).map(|sequence| file_name(Key { sequence, ..key })).collect();
        drop(spool);
        let at = |name: String| directory.path().join(name);
        for part in &parts {
            fs::copy(at(parent.clone()), at(format!("{parent}+{part}.pending"))).unwrap();
        }
        if committed {
            fs::rename(at(parent.clone()), at(format!("{parent}.split"))).unwrap();
        }
        drop(open(&directory, SpoolSettings::default()));
        let expected = if committed { parts } else { vec![parent] };
        assert_eq!(listing(directory.path()), expected.into_iter().collect());
        let files =
            fs::read_dir(directory.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file());
        assert_eq!(files.count(), if committed { 3 } else { 2 }, "batches and the lock");
    }
}
