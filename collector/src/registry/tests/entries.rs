//! Providers, locations, registrations, targets, operators and nonces.

use super::*;

#[test]
fn a_registry_opened_again_holds_what_was_added() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let again = Registry::open(&fixture.directory.path().join("registry.sqlite")).unwrap();
    assert_eq!(again.registrations(ORGANISATION).iter().collect::<Vec<_>>(), [&london]);
    assert!(again.registrations(OrganisationId(2)).is_empty());
    again.check().unwrap();
}

#[test]
fn a_file_of_a_newer_collector_is_refused() {
    let fixture = Fixture::new();
    let path = fixture.directory.path().join("registry.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = Registry::open(&path).unwrap_err().to_string();
    assert!(refused.starts_with("the registry has schema 99, this collector knows up to "), "{refused}");
    assert!(refused.ends_with("; install the newer collector"), "{refused}");
}

#[test]
fn everything_wrong_with_a_registration_is_said_at_once() {
    let fixture = Fixture::new();
    fixture.london();
    let wrong = NewRegistration {
        site: "London-1".to_owned(),
        provider: "Exampel Telecom".to_owned(),
        location: "GB-LON".to_owned(),
        prefixes: [
            "192.0.2.5/24",
            "192.0.2.128/25",
            "2001:db8::1",
            "::ffff:192.0.2.0/120",
            "8.0.0.0/7",
            "nonsense",
        ]
        .map(str::to_owned)
        .to_vec(),
        valid_to: Some("1999-01-01".to_owned()),
        ..NewRegistration::default()
    };
    // Ending before it begins, it meets no other registration; the overlaps have their own test.
    insta::assert_snapshot!(errors(fixture.register(&wrong)).join("\n"));
    assert_eq!(fixture.registry.registrations(ORGANISATION).len(), 1);
    let checked = fixture.registry.check_registration(&wrong, &Operator::local(), NOW);
    assert_eq!(errors(checked), errors(fixture.register(&wrong)));
}

#[test]
fn an_overlap_across_providers_is_refused_with_both_named() {
    let fixture = Fixture::new();
    fixture.london();
    let other = registration("leeds-1", "Sample Networks", &["192.0.2.128/25"]);
    assert_eq!(
        errors(fixture.register(&other)),
        [
            "192.0.2.128/25 of site `leeds-1` through Sample Networks overlaps 192.0.2.0/24 of site `london-1` through \
             Example Telecom (registration 1): a prefix belongs to one provider at a time"
        ]
    );
    let nested = NewRegistration { nested: true, ..other };
    assert_eq!(
        errors(fixture.register(&nested)).len(),
        1,
        "saying that it is nested does not help across providers"
    );
}

#[test]
fn a_nested_prefix_of_the_same_provider_must_be_meant() {
    let fixture = Fixture::new();
    fixture.london();
    let inner = registration("leeds-1", "example  TELECOM", &["192.0.2.128/25"]);
    assert!(errors(fixture.register(&inner))[0].ends_with("if that is meant, say that it is nested"));
    let registered = fixture.register(&NewRegistration { nested: true, ..inner }).unwrap();
    assert_eq!(registered.provider, "Example Telecom");
}

#[test]
fn a_site_changes_its_provider_by_ending_one_registration_and_adding_another() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let moved = registration("london-1", "Sample Networks", &["192.0.2.0/24"]);
    assert_eq!(errors(fixture.register(&moved)).len(), 2, "the prefix and the site are both taken");
    let ended = fixture.registry.end_registration(london.id, later(10), &Operator::local(), NOW).unwrap();
    assert_eq!(ended.valid_to, Some(later(10)));
    let moved = NewRegistration { valid_from: Some(crate::rfc3339::text(later(10))), ..moved };
    let moved = fixture.register(&moved).unwrap();
    assert_eq!(fixture.registry.owner(ORGANISATION, SOURCE, later(9)), Some(ended));
    assert_eq!(fixture.registry.owner(ORGANISATION, SOURCE, later(10)), Some(moved));
    let again = fixture.registry.end_registration(london.id, later(20), &Operator::local(), NOW);
    assert!(matches!(again, Err(RegistryError::Conflict { .. })));
}

#[test]
fn ranges_that_nobody_announces_need_leave() {
    let fixture = Fixture::new();
    let new = NewRegistration {
        allow_non_public: false,
        ..registration("london-1", "Example Telecom", &["192.0.2.0/24", "8.8.8.0/24", "fd00::/8"])
    };
    insta::assert_snapshot!(errors(fixture.register(&new)).join("\n"));
}

#[test]
fn a_provider_is_one_under_every_name() {
    let fixture = Fixture::new();
    let operator = Operator::local();
    let taken = NewProvider { aliases: vec!["X".to_owned(), "x".to_owned()], ..provider("EXAMPLE telecom") };
    let taken = NewProvider { countries: vec!["UK".to_owned()], asns: vec![0], ..taken };
    insta::assert_snapshot!(errors(fixture.registry.add_provider(&taken, &operator, NOW)).join("\n"));
    let liquid = directory_entry("liquid").unwrap().to_provider();
    fixture.registry.add_provider(&liquid, &operator, NOW).unwrap();
    let by_alias = registration("accra-1", "LIQUID", &["198.51.100.0/24"]);
    assert_eq!(fixture.register(&by_alias).unwrap().provider, "Liquid Telecom");
}

#[test]
fn a_provider_ends_only_when_its_registrations_have() {
    let fixture = Fixture::new();
    let operator = Operator::local();
    let london = fixture.london();
    let refused = fixture.registry.end_provider(1, &operator, NOW).unwrap_err();
    assert_eq!(refused.to_string(), "`Example Telecom` still serves london-1; end those registrations first");
    fixture.registry.end_registration(london.id, NOW, &operator, NOW).unwrap();
    assert_eq!(fixture.registry.end_provider(1, &operator, NOW).unwrap().ended, Some(NOW));
    fixture.registry.end_location(1, &operator, NOW).unwrap();
    assert_eq!(
        fixture.registry.registrations(ORGANISATION).iter().next().unwrap().provider,
        "Example Telecom"
    );
    fixture.registry.add_provider(&provider("Example Telecom"), &operator, NOW).unwrap();
}

#[test]
fn locations_are_checked_against_the_standard() {
    let fixture = Fixture::new();
    let operator = Operator::local();
    let add = |new: &NewLocation| fixture.registry.add_location(new, &operator, NOW);
    let seattle = add(&location("us-wa")).unwrap();
    assert_eq!(
        (seattle.code.as_str(), seattle.name.as_str(), seattle.time_zone.as_str()),
        ("US-WA", "Washington", "America/Los_Angeles")
    );
    assert_eq!(add(&location("HK")).unwrap().time_zone, "Asia/Hong_Kong");
    assert!(matches!(add(&location("US-WA")), Err(RegistryError::Conflict { .. })));
    let zone = NewLocation { time_zone: Some("Mars/Olympus".to_owned()), ..location("GB-LON") };
    let zone = NewLocation { latitude: Some(51.5), ..zone };
    let texts = [add(&zone), add(&location("GB")), add(&location("US-TX")), add(&location("Londinium"))]
        .map(|result| errors(result).join("\n"));
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn an_operator_is_known_by_its_token_until_it_is_revoked_or_replaced() {
    let fixture = Fixture::new();
    let registry = &fixture.registry;
    let local = Operator::local();
    let first = registry.create_operator_token("ana", Role::Reader, &local, NOW).unwrap().token;
    let operator = registry.operator(&first).unwrap().unwrap();
    assert_eq!((operator.name.as_str(), operator.role), ("ana", Role::Reader));
    let second = registry.create_operator_token("ana", Role::Administrator, &local, NOW).unwrap().token;
    assert_eq!(registry.operator(&first).unwrap(), None);
    assert!(registry.operator(&second).unwrap().is_some());
    registry.revoke_operator_token(2, &local, NOW).unwrap();
    assert_eq!(registry.operator(&second).unwrap(), None);
    assert!(registry.revoke_operator_token(3, &local, NOW).is_err());
    let tokens = registry.operator_tokens(ORGANISATION).unwrap();
    assert!(tokens.len() == 2 && tokens.iter().all(|token| token.revoked == Some(NOW)));
}

#[test]
fn no_secret_stands_in_the_file() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let operator =
        fixture.registry.create_operator_token("ana", Role::Reader, &Operator::local(), NOW).unwrap().token;
    let enrolment = fixture.secret(london.id, None);
    let mut files = 0;
    for file in std::fs::read_dir(fixture.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [operator.rsplit('.').next().unwrap(), &enrolment] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
            let raw = hex::decode(secret).unwrap();
            assert!(!bytes.windows(raw.len()).any(|window| window == raw));
        }
        files += 1;
    }
    assert!(files >= 2, "the database and its log");
}

#[test]
fn a_nonce_burns_once_until_it_expires() {
    let fixture = Fixture::new();
    let burn = |nonce: &str, now| fixture.registry.burn_nonce("enrolment", nonce, later(300), now).unwrap();
    assert!(burn("a", NOW));
    assert!(!burn("a", later(299)));
    assert!(burn("b", NOW));
    let again = Registry::open(&fixture.directory.path().join("registry.sqlite")).unwrap();
    assert!(!again.burn_nonce("enrolment", "a", later(300), NOW).unwrap());
    assert!(again.burn_nonce("rotation", "a", later(300), NOW).unwrap(), "another scope");
    assert!(burn("a", later(301)), "what would be refused as expired need not be remembered");
}

#[test]
fn every_change_is_in_the_audit() {
    let fixture = Fixture::new();
    let london = fixture.london();
    fixture.registry.end_registration(london.id, later(5), &Operator::local(), later(1)).unwrap();
    let audit = fixture.registry.audit(ORGANISATION, 10).unwrap();
    let last = &audit[0];
    assert_eq!(
        (last.who.as_str(), last.what.as_str(), last.object.as_str(), last.at),
        ("local", "registration end", "london-1", later(1))
    );
    assert_eq!(last.before.as_ref().unwrap()["valid_to"], serde_json::Value::Null);
    assert_eq!(last.after.as_ref().unwrap()["valid_to"], crate::rfc3339::text(later(5)));
    assert_eq!(
        audit.iter().map(|entry| entry.what.as_str()).collect::<Vec<_>>(),
        ["registration end", "registration add", "location add", "provider add", "provider add"]
    );
}
