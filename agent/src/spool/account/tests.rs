//! The account against a collector that keeps the greatest it has heard, over a way that loses, repeats and reorders.

use super::*;
use proptest::prelude::*;

const ID: AccountId = AccountId::new([1; 16]);

fn dropped(hour: i64, uplink: u8, reason: DropReason, measurements: u64) -> DropEntry {
    let hour = Timestamp::from_secs(hour * 3_600);
    DropEntry {
        hour,
        uplink: format!("site-{uplink}"),
        reason,
        measurements,
        turns: measurements * 6,
        unread_batches: 0,
        first: hour,
        last: Timestamp::from_secs(hour.as_secs() + 60),
    }
}

/// What a collector keeps.
#[derive(Default)]
struct Heard(BTreeMap<(AccountId, Timestamp, String, DropReason), u64>);

impl Heard {
    fn hear(&mut self, account: &Account) -> Signed {
        assert!(account.entries.len() <= MAX_DROP_ENTRIES);
        for entry in &account.entries {
            let key = (account.id, entry.hour, entry.uplink.clone(), entry.reason);
            let known = self.0.entry(key).or_default();
            *known = entry.measurements.max(*known);
        }
        account.signed()
    }

    fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

#[test]
fn a_part_holds_the_oldest_changes_until_they_are_signed_for() {
    let mut account = Dropped::new(ID);
    assert_eq!(account.part(), None);
    for hour in 0..100 {
        account.add(dropped(hour, 0, DropReason::SpoolFull, 1), ID);
    }
    account.add(dropped(0, 0, DropReason::SpoolFull, 4), ID);
    let first = account.part().unwrap();
    assert_eq!((first.entries.len(), first.entries[0].hour.as_secs(), first.until), (64, 3_600, 65));
    account.sign(Signed { id: AccountId::new([2; 16]), until: 101 });
    assert_eq!(account.part().as_ref(), Some(&first), "a word on another account");
    account.sign(first.signed());
    let second = account.part().unwrap();
    assert_eq!((second.entries.len(), second.until), (36, 101));
    assert_eq!(second.entries.last().unwrap().measurements, 5, "the first hour changed last");
    account.sign(second.signed());
    account.sign(first.signed());
    assert_eq!(account.part(), None);
}

#[test]
fn years_of_hours_add_to_the_newest_one_and_a_new_reason_has_an_entry_of_its_own() {
    let mut account = Dropped::new(ID);
    for hour in 0..10_000 {
        account.add(dropped(hour, 0, DropReason::SpoolFull, 1), ID);
    }
    account.add(dropped(9_999, 0, DropReason::SpoolAge, 1), ID);
    assert_eq!(account.entries.len(), MAX_HOURS + 1);
    let sum: u64 = account.entries.iter().map(|kept| kept.entry.measurements).sum();
    assert_eq!(sum, 10_001);
    let newest = &account.entries[MAX_HOURS - 1].entry;
    assert_eq!((newest.hour.as_secs(), newest.last.as_secs()), (2_047 * 3_600, 9_999 * 3_600 + 60));
}

#[test]
fn an_account_that_was_signed_for_ends_when_it_is_large() {
    let (mut account, mut heard) = (Dropped::new(ID), Heard::default());
    let next = AccountId::new([9; 16]);
    for hour in 0..300 {
        account.add(dropped(hour, 0, DropReason::SpoolFull, 1), next);
    }
    assert_eq!(account.id, ID, "nobody signed");
    while let Some(part) = account.part() {
        let signed = heard.hear(&part);
        account.sign(signed);
    }
    account.add(dropped(0, 0, DropReason::SpoolFull, 1), next);
    let part = account.part().unwrap();
    assert_eq!((part.id, part.until, part.entries.len()), (next, 301, 1));
    heard.hear(&part);
    assert_eq!(heard.sum(), 301, "the first hour of both accounts");
}

#[derive(Debug, Clone)]
enum Step {
    Drop {
        hour: i64,
        uplink: u8,
        measurements: u64,
    },
    /// A batch is made.
    Tell,
    /// The collector hears a batch of those that were made, and its word arrives or does not.
    Hear {
        which: prop::sample::Index,
        answered: bool,
    },
    /// The process ends, and the next one has what was on disk.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_i64..400, 0_u8..3, 1_u64..50)
            .prop_map(|(hour, uplink, measurements)| Step::Drop { hour, uplink, measurements }),
        2 => Just(Step::Tell),
        4 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, answered)| Step::Hear { which, answered }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever is lost, repeated or reordered on the way, in the end the collector knows exactly what was dropped.
    #[test]
    fn a_collector_ends_up_with_exactly_what_was_dropped(steps in prop::collection::vec(step(), 1..400)) {
        let (mut account, mut heard) = (Dropped::new(ID), Heard::default());
        let (mut truth, mut told, mut names) = (0, Vec::new(), 1_u8);
        for step in steps {
            match step {
                Step::Drop { hour, uplink, measurements } => {
                    names = names.wrapping_add(1);
                    account.add(dropped(hour, uplink, DropReason::SpoolFull, measurements), AccountId::new([names; 16]));
                    truth += measurements;
                }
                Step::Tell => told.extend(account.part()),
                Step::Hear { which, answered } => if !told.is_empty() {
                    let signed = heard.hear(which.get(&told));
                    if answered {
                        account.sign(signed);
                    }
                },
                Step::Restart => {
                    let disk = serde_json::to_vec(&account).unwrap();
                    account = serde_json::from_slice(&disk).unwrap();
                }
            }
            prop_assert!(heard.sum() <= truth);
        }
        while let Some(part) = account.part() {
            let signed = heard.hear(&part);
            account.sign(signed);
        }
        for batch in &told {
            heard.hear(batch);
        }
        prop_assert_eq!(heard.sum(), truth);
    }
}
