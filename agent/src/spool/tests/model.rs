//! Any script of actions against a sorted list.

use super::{drops::told, *};
use proptest::prelude::*;

/// What is done to a spool.
#[derive(Debug, Clone)]
enum Action {
    Append(u8),
    AcknowledgeNext,
    RejectOldest,
    Restart,
    /// The oldest file is cut at this share of its length, as a torn write or a bad disk would.
    Truncate(u16),
    /// One bit of the oldest file flips.
    Flip(u16),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0_u8..20).prop_map(Action::Append),
        3 => Just(Action::AcknowledgeNext),
        1 => Just(Action::RejectOldest),
        2 => Just(Action::Restart),
        1 => any::<u16>().prop_map(Action::Truncate),
        1 => any::<u16>().prop_map(Action::Flip),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The spool equals a sorted list; restarts change nothing, damage costs the damaged file alone.
    #[test]
    fn the_spool_equals_a_model_under_restarts_and_damage(actions in prop::collection::vec(action(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Some(open(&directory, SpoolSettings::default()));
        let mut model: BTreeMap<Key, bool> = BTreeMap::new();
        let (mut corrupt, mut rejected) = (0, 0);
        let mut runs = 2_u8;
        for action in actions {
            let live = spool.as_mut().unwrap();
            match action {
                Action::Append(second) => {
                    model.insert(append(live, i64::from(second)), true);
                }
                Action::AcknowledgeNext => {
                    while let Some(key) = live.next() {
                        let whole = model.remove(&key).unwrap();
                        let read = live.read(key).unwrap();
                        prop_assert_eq!(read.is_some(), whole);
                        if whole {
                            live.acknowledge(key, 0, None, CREATED).unwrap();
                            break;
                        }
                        corrupt += 1;
                    }
                }
                Action::RejectOldest => {
                    if let Some((key, whole)) = model.pop_first() {
                        live.reject(key, DropReason::Rejected).unwrap();
                        rejected += 2 * u64::from(whole);
                    }
                }
                Action::Restart => {
                    drop(spool.take());
                    let mut reopened = open(&directory, SpoolSettings::default());
                    runs += 1;
                    reopened.begin_session(SessionId::new([runs; 16]));
                    spool = Some(reopened);
                }
                Action::Truncate(at) | Action::Flip(at) => {
                    if let Some((key, whole)) = model.first_key_value() && *whole {
                        let key = *key;
                        damage(&live.directory.batch(key), at, matches!(action, Action::Flip(_)));
                        model.insert(key, false);
                    }
                }
            }
            let live = spool.as_ref().unwrap();
            prop_assert_eq!(live.keys().collect::<Vec<_>>(), model.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(live.counts().batches, model.len() as u64);
            prop_assert_eq!(live.counts().corrupt, corrupt);
            let told: Vec<_> = told(live);
            prop_assert_eq!(told.iter().map(|row| row.2).sum::<u64>(), rejected);
            prop_assert_eq!(live.counts().lost_measurements, rejected);
        }
    }
}
