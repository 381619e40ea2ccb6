//! Laws of prefixes, against brute force.

use super::*;
use crate::{organisation::OrganisationId, registry::RegistrationId};
use proptest::prelude::*;

fn seconds(value: i64) -> Timestamp {
    Timestamp::from_secs(value)
}

/// Prefixes from a small space of both families, so that they meet often.
fn any_prefix() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<u8>(), 20_u8..=32).prop_map(|(host, length)| {
            let address = IpAddr::from([10, 0, host & 3, host]);
            IpNet::new(address, length).unwrap().trunc()
        }),
        (any::<u8>(), 100_u8..=128).prop_map(|(host, length)| {
            let address = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, u16::from(host & 3), u16::from(host)]);
            IpNet::new(address, length).unwrap().trunc()
        }),
    ]
}

fn any_validity() -> impl Strategy<Value = Validity> {
    (0_i64..8, proptest::option::of(0_i64..8))
        .prop_map(|(from, to)| Validity { from: seconds(from), to: to.map(seconds) })
}

fn any_registrations() -> impl Strategy<Value = Vec<Registration>> {
    proptest::collection::vec((proptest::collection::vec(any_prefix(), 1..4), any_validity(), 0..2), 0..6)
        .prop_map(|list| {
            list.into_iter()
                .zip(1_i64..)
                .map(|((prefixes, validity, provider), id)| Registration {
                    id: RegistrationId(id),
                    organisation: OrganisationId::DEFAULT,
                    site: format!("site-{id}"),
                    provider: format!("Provider {provider}"),
                    location: "GB-LND".to_owned(),
                    prefixes,
                    count_declared: false,
                    valid_from: validity.from,
                    valid_to: validity.to,
                })
                .collect()
        })
}

/// Every address of a small prefix, or enough of a large one to decide an overlap in the space above.
fn addresses() -> Vec<IpAddr> {
    let v4 = (0..4).flat_map(|third| (0..=255).map(move |host| IpAddr::from([10, 0, third, host])));
    let v6 = (0..4).flat_map(|seventh| {
        (0..=255).map(move |host| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, seventh, host]))
    });
    v4.chain(v6).collect()
}

proptest! {
    #[test]
    fn the_longest_match_is_what_a_scan_of_all_prefixes_finds(
        registrations in any_registrations(),
        at in 0_i64..8,
        pick in any::<proptest::sample::Index>(),
    ) {
        let addresses = addresses();
        let address = *pick.get(&addresses);
        let found = PrefixTable::new(&registrations).longest_match(address, seconds(at));
        let longest = registrations
            .iter()
            .filter(|registration| registration.validity().contains(seconds(at)))
            .flat_map(|registration| &registration.prefixes)
            .filter(|prefix| prefix.contains(&address))
            .max_by_key(|prefix| prefix.prefix_len());
        prop_assert_eq!(found.map(|(prefix, _)| prefix), longest.copied());
        if let Some((prefix, id)) = found {
            let owner = registrations.iter().find(|registration| registration.id == id).unwrap();
            prop_assert!(owner.prefixes.contains(&prefix) && owner.validity().contains(seconds(at)));
        }
    }

    #[test]
    fn prefixes_overlap_when_an_address_lies_in_both(a in any_prefix(), b in any_prefix()) {
        let shared = addresses().iter().any(|address| a.contains(address) && b.contains(address));
        prop_assert_eq!(overlap(&a, &b), shared);
        prop_assert_eq!(overlap(&a, &b), overlap(&b, &a));
    }

    #[test]
    fn validities_meet_when_an_instant_lies_in_both(a in any_validity(), b in any_validity()) {
        let shared = (0..9).any(|instant| a.contains(seconds(instant)) && b.contains(seconds(instant)));
        prop_assert_eq!(a.meets(&b), shared);
    }

    #[test]
    fn what_is_accepted_one_by_one_gives_no_address_two_providers(registrations in any_registrations()) {
        let mut accepted: Vec<Registration> = Vec::new();
        for registration in registrations {
            let candidate = Candidate {
                site: &registration.site,
                provider: &registration.provider,
                prefixes: &registration.prefixes,
                validity: registration.validity(),
                nested: true,
            };
            if conflicts(&candidate, &accepted).is_empty() {
                accepted.push(registration);
            }
        }
        for address in addresses().iter().step_by(7) {
            for instant in 0..8 {
                let mut providers: Vec<&str> = accepted
                    .iter()
                    .filter(|registration| registration.validity().contains(seconds(instant)))
                    .filter(|registration| registration.prefixes.iter().any(|prefix| prefix.contains(address)))
                    .map(|registration| registration.provider.as_str())
                    .collect();
                providers.dedup();
                prop_assert!(providers.len() <= 1, "{address} belongs to {providers:?}");
            }
        }
    }

    #[test]
    fn what_prints_reads_back(prefix in any_prefix()) {
        prop_assert_eq!(parse(&prefix.to_string()), Ok(prefix));
    }
}

#[test]
fn a_refused_prefix_says_what_to_write() {
    let said: Vec<String> = [
        "192.0.2.5/24",
        "2001:db8::1/48",
        "192.0.2.1",
        "::ffff:192.0.2.0/120",
        "0.0.0.0/0",
        "8.0.0.0/7",
        "x/24",
    ]
    .iter()
    .map(|text| parse(text).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn every_range_of_the_table_is_a_prefix() {
    for (range, _) in NON_PUBLIC {
        assert!(range.parse::<IpNet>().is_ok_and(|prefix| prefix == prefix.trunc()), "{range}");
    }
    let non_public = |text: &str| non_public(&text.parse().unwrap());
    assert_eq!(non_public("8.8.8.0/24"), None);
    assert_eq!(non_public("2a00:1450::/32"), None);
    assert_eq!(non_public("172.31.4.0/24"), Some("private"));
    assert_eq!(non_public("172.0.0.0/8"), Some("private"), "it contains private addresses");
}
