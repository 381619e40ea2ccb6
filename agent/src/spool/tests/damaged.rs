//! Files that are torn, corrupt, foreign or left behind.

use super::*;

#[test]
fn damaged_batches_are_kept_up_to_a_bound() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    for second in 1..=3 {
        let key = append(&mut spool, second);
        fs::write(spool.directory.batch(key), vec![0; 7 << 20]).unwrap();
        assert_eq!(spool.read(key).unwrap(), None);
    }
    let kept = listing(&directory.path().join("corrupt"));
    assert_eq!(kept.len(), 2, "the newest: {kept:?}");
    assert_eq!(spool.counts().corrupt, 3);
}

#[test]
fn a_foreign_or_misnamed_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let (a, b) = (append(&mut spool, 1), append(&mut spool, 2));
    fs::copy(spool.directory.batch(a), spool.directory.batch(b)).unwrap();
    assert_eq!(spool.read(b).unwrap(), None);
    assert_eq!((spool.counts().corrupt, spool.counts().batches), (1, 1));
    assert_eq!(listing(&directory.path().join("corrupt")).len(), 1);
    assert!(spool.read(a).unwrap().is_some());
}

#[test]
fn a_batch_torn_at_any_byte_is_set_aside_and_costs_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let (torn, whole) = (append(&mut spool, 1), append(&mut spool, 2));
    let file = fs::read(spool.directory.batch(torn)).unwrap();
    drop(spool);
    for (corrupt, length) in (1..).zip(0..file.len()) {
        fs::write(directory.path().join(file_name(torn)), &file[..length]).unwrap();
        let mut spool = open(&directory, SpoolSettings::default());
        assert_eq!(spool.read(torn).unwrap(), None, "torn at byte {length}");
        assert_eq!(spool.counts().corrupt, corrupt);
        assert_eq!(spool.next(), Some(whole));
        assert!(spool.read(whole).unwrap().is_some());
    }
}

#[test]
fn what_a_crash_left_half_written_does_not_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    let key = append(&mut spool, 1);
    drop(spool);
    let half_written = directory.path().join(".new-AbCdEf");
    fs::write(&half_written, b"PLSPOOL").unwrap();
    let mut spool = open(&directory, SpoolSettings::default());
    assert!(!half_written.exists() && spool.read(key).unwrap().is_some());
}
