//! The index finds what a scan of all registrations finds, whatever was put into it before.

use super::*;
use crate::{organisation::OrganisationId, registry::prefixes::Validity};
use proptest::prelude::*;

/// Few sites, few providers and a small space of prefixes, so that they meet often.
fn any_registration() -> impl Strategy<Value = Registration> {
    let prefix = prop_oneof![
        (any::<u8>(), 20_u8..=32).prop_map(|(host, length)| {
            IpNet::new_assert(IpAddr::from([10, 0, host & 3, host]), length).trunc()
        }),
        (any::<u8>(), 112_u8..=128).prop_map(|(host, length)| {
            let address = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, u16::from(host & 3), u16::from(host)]);
            IpNet::new_assert(address, length).trunc()
        }),
    ];
    let prefixes = proptest::collection::vec(prefix, 1..4);
    (1_i64..9, 0..4, 0..2, prefixes, 0_i64..8, proptest::option::of(0_i64..8)).prop_map(
        |(id, site, provider, prefixes, from, to)| Registration {
            id: RegistrationId(id),
            organisation: OrganisationId::DEFAULT,
            // The same sites, spelt in two ways.
            site: if id % 2 == 0 { format!("Site {site}") } else { format!("site  {site}") },
            provider: format!("Provider {provider}"),
            location: "GB-LND".to_owned(),
            prefixes,
            count_declared: false,
            valid_from: Timestamp::from_secs(from),
            valid_to: to.map(Timestamp::from_secs),
        },
    )
}

/// What is there after all of them were put, one after another.
fn last_of_each(put: &[Registration]) -> Vec<Registration> {
    let mut there = std::collections::BTreeMap::new();
    for registration in put {
        there.insert(registration.id, registration.clone());
    }
    there.into_values().collect()
}

/// Whether a scan says the same; also of an index made at once.
fn check(index: &RegistrationIndex, there: &[Registration], asked: &Registration, nested: bool) {
    assert_eq!(index.registrations().iter().cloned().collect::<Vec<_>>(), there);
    for id in 0..10 {
        let id = RegistrationId(id);
        assert_eq!(index.registrations().get(id), there.iter().find(|entry| entry.id == id));
        let after: Vec<_> = index.registrations().after(Some(id)).map(|entry| entry.id).collect();
        let scanned: Vec<_> = there.iter().map(|entry| entry.id).filter(|other| *other > id).collect();
        assert_eq!(after, scanned);
    }
    let of_site: Vec<_> = index.of_site(&asked.site).cloned().collect();
    let scanned: Vec<_> = there.iter().filter(|entry| entry.is_site(&asked.site)).cloned().collect();
    assert_eq!(of_site, scanned);
    let candidate = Candidate {
        site: &asked.site,
        provider: &asked.provider,
        prefixes: &asked.prefixes,
        validity: Validity { from: asked.valid_from, to: asked.valid_to },
        nested,
    };
    let mut scanned = prefixes::conflicts(&candidate, there);
    scanned.extend(taken_site(&candidate, there.iter().filter(|entry| entry.is_site(&asked.site))));
    assert_eq!(index.conflicts(&candidate), scanned);
    for prefix in &asked.prefixes {
        let owner = index.owner(prefix.network(), asked.valid_from);
        let longest = there
            .iter()
            .filter(|entry| entry.validity().contains(asked.valid_from))
            .filter_map(|entry| entry.longest_prefix(prefix.network()))
            .max_by_key(IpNet::prefix_len);
        assert_eq!(owner.map(|(prefix, _)| prefix), longest);
        if let Some((prefix, id)) = owner {
            assert!(index.registrations().get(id).unwrap().prefixes.contains(&prefix));
        }
    }
}

proptest! {
    #[test]
    fn the_index_answers_what_a_scan_of_all_registrations_does(
        put in proptest::collection::vec(any_registration(), 0..14),
        asked in any_registration(),
        nested in any::<bool>(),
    ) {
        let there = last_of_each(&put);
        let mut grown = RegistrationIndex::default();
        for registration in put {
            grown.put(registration);
        }
        check(&grown, &there, &asked, nested);
        check(&there.iter().cloned().collect(), &there, &asked, nested);
    }
}

#[test]
fn whoever_reads_keeps_the_moment_that_was_read() {
    let ended = |to| Registration {
        id: RegistrationId(1),
        organisation: OrganisationId::DEFAULT,
        site: "london-1".to_owned(),
        provider: "Example Telecom".to_owned(),
        location: "GB-LND".to_owned(),
        prefixes: vec!["192.0.2.0/24".parse().unwrap()],
        count_declared: false,
        valid_from: Timestamp::from_secs(0),
        valid_to: to,
    };
    let mut index: RegistrationIndex = [ended(None)].into_iter().collect();
    let read = index.registrations().clone();
    index.put(ended(Some(Timestamp::from_secs(5))));
    assert_eq!(read.get(RegistrationId(1)).unwrap().valid_to, None);
    assert_eq!(index.registrations().get(RegistrationId(1)).unwrap().valid_to, Some(Timestamp::from_secs(5)));
    assert_eq!(index.owner("192.0.2.1".parse().unwrap(), Timestamp::from_secs(5)), None);
}
