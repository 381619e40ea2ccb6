//! Enrolment, assignments and sightings.

use super::*;
use peerlight_proto::id::SessionId;

#[test]
fn a_token_enrols_once_and_a_lost_answer_burns_nothing() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let secret = fixture.secret(london.id, None);
    let registry = &fixture.registry;
    assert_eq!(registry.enrol(&request(&secret, 1, 1), SOURCE, NOW).unwrap(), london);
    assert_eq!(registry.enrol(&request(&secret, 1, 1), SOURCE, later(9_999)).unwrap(), london, "asked again");
    let other = registry.enrol(&request(&secret, 2, 2), SOURCE, NOW).unwrap_err();
    assert!(matches!(&other, EnrolError::TokenRefused { reason } if reason == "is used up"), "{other}");
    let caller = registry.caller(AgentId::new([1; 16]), NOW).unwrap().unwrap();
    assert_eq!((caller.public_key, caller.registration, caller.revoked), ([1; 32], london, false));
    assert_eq!(registry.caller(AgentId::new([2; 16]), NOW).unwrap(), None);
    let entry = registry.agent(ORGANISATION, AgentId::new([1; 16]), NOW).unwrap();
    assert_eq!((entry.host.as_str(), entry.enrolled), ("host1", NOW));
    assert_eq!(registry.tokens(ORGANISATION, &EVERY_TOKEN, NOW).unwrap()[0].uses, 1);
}

#[test]
fn of_many_that_come_at_once_a_token_enrols_one() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let secret = fixture.secret(london.id, None);
    let enrolled = std::thread::scope(|scope| {
        let racers: Vec<_> = (1..=8)
            .map(|agent| {
                let (registry, request) = (fixture.registry.clone(), request(&secret, agent, agent));
                scope.spawn(move || registry.enrol(&request, SOURCE, NOW).is_ok())
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!((enrolled, fixture.registry.agents(ORGANISATION, NOW).unwrap().len()), (1, 1));
}

#[test]
fn tokens_that_are_wrong_expired_revoked_or_of_an_ended_registration_are_refused() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let operator = Operator::local();
    let reason = |secret: &str, now| match fixture.registry.enrol(&request(secret, 1, 1), SOURCE, now) {
        Err(EnrolError::TokenRefused { reason }) => reason,
        other => panic!("{other:?}"),
    };
    let guess = fixture.registry.enrol(&request("guess", 1, 1), SOURCE, NOW);
    assert!(matches!(guess, Err(EnrolError::UnknownToken)), "{guess:?}");
    let secret = fixture.secret(london.id, None);
    assert_eq!(reason(&secret, later(3_600)), "expired at 2026-09-21T15:13:20Z");
    fixture.registry.revoke_token(1, &operator, NOW).unwrap();
    assert_eq!(reason(&secret, NOW), "was revoked");
    let secret = fixture.secret(london.id, None);
    fixture.registry.end_registration(london.id, NOW, &operator, NOW).unwrap();
    assert_eq!(reason(&secret, NOW), "is for `london-1`, whose registration has ended");
    let late = NewToken { registration: london.id, ..NewToken::default() };
    assert!(fixture.registry.create_token(&late, &identity(), &operator, NOW).is_err());
}

#[test]
fn an_agent_whose_site_contradicts_the_registration_is_refused_with_both_values() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let secret = fixture.secret(london.id, None);
    let wrong = EnrolmentRequest {
        site: Some(SiteAssertion {
            name: "london-2".to_owned(),
            provider: "Sample Networks".to_owned(),
            location: "GB-MAN".to_owned(),
            prefixes: vec!["198.51.100.0/24".to_owned()],
        }),
        ..request(&secret, 1, 1)
    };
    let refused = fixture.registry.enrol(&wrong, SOURCE, NOW).unwrap_err();
    insta::assert_snapshot!(refused.to_string().replace("; ", "\n"));
    let right = EnrolmentRequest {
        site: Some(SiteAssertion {
            name: "london-1".to_owned(),
            provider: "example telecom".to_owned(),
            location: "gb-lnd".to_owned(),
            prefixes: vec![],
        }),
        ..wrong
    };
    fixture.registry.enrol(&right, SOURCE, NOW).unwrap();
}

#[test]
fn an_identity_keeps_its_key_and_a_key_its_identity() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let secret = fixture.secret(london.id, Some(5));
    let enrol = |agent, key| fixture.registry.enrol(&request(&secret, agent, key), SOURCE, NOW);
    enrol(1, 1).unwrap();
    assert!(matches!(enrol(1, 2), Err(EnrolError::AgentExists { .. })));
    assert!(matches!(enrol(2, 1), Err(EnrolError::KeyKnown)));
    enrol(2, 2).unwrap();
    assert_eq!(
        fixture.registry.tokens(ORGANISATION, &EVERY_TOKEN, NOW).unwrap()[0].uses,
        2,
        "refusals burn nothing"
    );
    let malformed = EnrolmentRequest { public_key: "zz".to_owned(), ..request(&secret, 3, 3) };
    assert!(matches!(fixture.registry.enrol(&malformed, SOURCE, NOW), Err(EnrolError::MalformedKey)));
}

#[test]
fn a_revoked_agent_returns_only_with_a_new_token() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let agent = AgentId::new([1; 16]);
    let secret = fixture.secret(london.id, None);
    fixture.registry.enrol(&request(&secret, 1, 1), SOURCE, NOW).unwrap();
    fixture.registry.revoke_agent(agent, &Operator::local(), NOW).unwrap();
    assert!(fixture.registry.caller(agent, NOW).unwrap().unwrap().revoked);
    assert!(fixture.registry.enrol(&request(&secret, 1, 1), SOURCE, NOW).is_err());
    let secret = fixture.secret(london.id, None);
    fixture.registry.enrol(&request(&secret, 1, 1), SOURCE, NOW).unwrap();
    assert!(!fixture.registry.caller(agent, NOW).unwrap().unwrap().revoked);
}

#[test]
fn a_new_token_moves_an_agent_to_another_registration() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let leeds = fixture.register(&registration("leeds-1", "Sample Networks", &["198.51.100.0/24"])).unwrap();
    fixture.registry.enrol(&request(&fixture.secret(london.id, None), 1, 1), SOURCE, NOW).unwrap();
    fixture.registry.enrol(&request(&fixture.secret(leeds.id, None), 1, 1), SOURCE, NOW).unwrap();
    let caller = fixture.registry.caller(AgentId::new([1; 16]), NOW).unwrap().unwrap();
    assert_eq!(caller.registration, leeds);
}

#[test]
fn an_agent_follows_its_site_from_one_registration_to_the_next() {
    let fixture = Fixture::new();
    let london = fixture.london();
    let agent = AgentId::new([1; 16]);
    fixture.registry.enrol(&request(&fixture.secret(london.id, None), 1, 1), SOURCE, NOW).unwrap();
    fixture.registry.end_registration(london.id, later(60), &Operator::local(), NOW).unwrap();
    let entry = |now| fixture.registry.agent(ORGANISATION, agent, now).unwrap();
    assert_eq!(entry(later(59)).registration_ended, None);
    assert_eq!(entry(later(60)).registration_ended, Some(later(60)));

    let mut successor = registration("LONDON-1", "Sample Networks", &["198.51.100.0/24"]);
    successor.valid_from = Some("2026-09-21T14:15:20Z".to_owned());
    let successor = fixture.register(&successor).unwrap();
    assert_eq!(
        (successor.site.as_str(), successor.valid_from),
        ("london-1", later(120)),
        "its first spelling"
    );
    assert_eq!(entry(later(119)).registration, london.id);
    let then = entry(later(120));
    assert_eq!((then.registration, then.provider.as_str()), (successor.id, "Sample Networks"));
    assert_eq!(then.registration_ended, None);
    let caller = fixture.registry.caller(agent, later(120)).unwrap().unwrap();
    let others: Vec<RegistrationId> = caller.others.iter().map(|one| one.id).collect();
    assert_eq!((caller.registration.id, others), (successor.id, vec![london.id]));
}

#[test]
fn an_assignment_holds_what_matches_and_its_version_says_so() {
    let fixture = Fixture::new();
    let operator = Operator::local();
    let london = fixture.london();
    fixture.registry.enrol(&request(&fixture.secret(london.id, None), 1, 1), SOURCE, NOW).unwrap();
    let agent = AgentId::new([1; 16]);
    let assignment = || fixture.registry.assignment(agent, NOW).unwrap();
    let empty = assignment();
    assert_eq!(empty.targets, []);
    let everyone = NewTarget {
        name: "exchange".to_owned(),
        address: "Outlook.office365.com".to_owned(),
        probes: vec!["icmp".to_owned(), "tcp:443".to_owned()],
        ..NewTarget::default()
    };
    fixture.registry.add_target(&everyone, &operator, NOW).unwrap();
    let scoped = NewTarget {
        provider: Some("Example Telecom".to_owned()),
        interval_ms: Some(1_000),
        probes: vec!["icmp".to_owned()],
        ..everyone.clone()
    };
    let scoped = fixture.registry.add_target(&scoped, &operator, NOW).unwrap();
    let elsewhere = NewTarget { provider: Some("Sample Networks".to_owned()), ..everyone.clone() };
    fixture.registry.add_target(&elsewhere, &operator, NOW).unwrap();
    let both = assignment();
    assert_ne!(both.version, empty.version);
    assert_eq!(both.targets.len(), 2, "one identity, one target");
    let icmp = both.targets.iter().find(|assigned| assigned.target.probe.port().is_none()).unwrap();
    assert_eq!(icmp.interval_ms, Some(1_000), "the closer scope wins");
    fixture.registry.remove_target(scoped[0].id, false, &operator, NOW).unwrap();
    assert!(assignment().targets.iter().all(|assigned| assigned.interval_ms.is_none()));
    assert!(fixture.registry.assignment(AgentId::new([9; 16]), NOW).is_err());
    let wrong = NewTarget {
        name: String::new(),
        address: "1.2.3".to_owned(),
        probes: vec!["icmp:1".to_owned()],
        interval_ms: Some(1),
        provider: Some("nobody".to_owned()),
        ..NewTarget::default()
    };
    insta::assert_snapshot!(
        [
            errors(fixture.registry.add_target(&wrong, &operator, NOW)),
            errors(fixture.registry.add_target(&everyone, &operator, NOW))
        ]
        .concat()
        .join("\n")
    );
}

#[test]
fn a_sighting_tells_when_where_and_how() {
    let fixture = Fixture::new();
    let london = fixture.london();
    fixture.registry.enrol(&request(&fixture.secret(london.id, None), 1, 1), SOURCE, NOW).unwrap();
    let agent = AgentId::new([1; 16]);
    let newer = batch(1, 100, 160);
    see(&fixture, later(161), &newer);
    let backlog = BatchSighting { version: "0.0.9".to_owned(), ..batch(1, 0, 60) };
    see(&fixture, later(162), &backlog);
    let entry = fixture.registry.agent(ORGANISATION, agent, NOW).unwrap();
    assert_eq!(entry.last_seen, Some(later(162)));
    assert_eq!((entry.address, entry.version.as_str()), (Some(SOURCE), "0.2.0"));
    assert_eq!((entry.session, entry.clock_offset_us), (Some(newer.session), Some(0)));
    assert_eq!(entry.health.unwrap().spooled_batches, 3);
    assert_eq!(entry.cloned_since, None);
    let silent = Sighting { at: later(300), address: None, batch: None };
    fixture.registry.sighting(agent, silent);
    let entry = fixture.registry.agent(ORGANISATION, agent, NOW).unwrap();
    assert_eq!((entry.last_seen, entry.address), (Some(later(300)), Some(SOURCE)));
}

#[test]
fn the_state_names_everything_that_is_not_well() {
    let fixture = enrolled();
    let state = |now| fixture.registry.agent(ORGANISATION, AgentId::new([1; 16]), now).unwrap().state;
    assert_eq!(state(NOW), ["never seen"]);
    see(&fixture, later(61), &batch(1, 0, 60));
    assert_eq!(state(later(361)), [""; 0]);
    assert_eq!(state(later(362)), ["silent since 2026-09-21T14:14:21Z"]);
    let health = AgentHealth { dropped_batches: 2, refused_measurements: 12, ..AgentHealth::default() };
    let ill = BatchSighting { health, clock_offset_us: Some(-3_000_000), ..batch(1, 360, 420) };
    see(&fixture, later(421), &ill);
    assert_eq!(
        state(later(422)),
        [
            "dropping (2 batches, last 2026-09-21T14:20:21Z)",
            "refused 12 measurements and 0 batches, last 2026-09-21T14:20:21Z",
            "clock off by -3 s"
        ]
    );
}

#[test]
fn a_restart_with_a_backlog_is_not_a_clone() {
    let fixture = enrolled();
    // Session 1 ends at 600, session 2 begins; what session 1 left behind is pushed in between.
    for (at, seen) in [
        (100, batch(1, 0, 60)),
        (700, batch(2, 620, 680)),
        (701, batch(1, 60, 120)),
        (760, batch(2, 680, 740)),
        (761, batch(1, 540, 600)),
        (820, batch(2, 740, 800)),
    ] {
        see(&fixture, later(at), &seen);
    }
    assert_eq!(cloned(&fixture), None);
}

#[test]
fn two_machines_with_one_key_are_noticed() {
    let fixture = enrolled();
    for minute in 1..=5_i64 {
        let (start, end) = (minute * 60 - 60, minute * 60);
        see(&fixture, later(end.unsigned_abs() + 1), &batch(1, start, end));
        see(&fixture, later(end.unsigned_abs() + 2), &batch(2, start, end));
    }
    assert_eq!(cloned(&fixture), Some(later(122)), "by the second minute that both measured");
}

#[test]
fn a_clock_that_was_set_back_is_not_a_clone() {
    let fixture = enrolled();
    let hour_us = 3_600_000_000;
    // The clock ran an hour fast, which the agent knew; then it was corrected and a new session began.
    let fast = BatchSighting { clock_offset_us: Some(-hour_us), ..batch(1, 3_600, 4_200) };
    see(&fixture, later(601), &fast);
    see(&fixture, later(1_300), &batch(2, 610, 1_200));
    assert_eq!(cloned(&fixture), None);
}

fn enrolled() -> Fixture {
    let fixture = Fixture::new();
    let london = fixture.london();
    fixture.registry.enrol(&request(&fixture.secret(london.id, None), 1, 1), SOURCE, NOW).unwrap();
    fixture
}

/// A batch of a session that measured from `start` to `end` seconds after `NOW`.
fn batch(session: u8, start: i64, end: i64) -> BatchSighting {
    let instant = |seconds: i64| Timestamp::from_micros(NOW.as_micros() + seconds * 1_000_000);
    BatchSighting {
        session: SessionId::new([session; 16]),
        span: Some((instant(start), instant(end))),
        interval: Duration::from_mins(1),
        created: instant(end),
        clock_offset_us: Some(0),
        version: "0.2.0".to_owned(),
        health: AgentHealth { spooled_batches: 3, ..AgentHealth::default() },
    }
}

fn see(fixture: &Fixture, at: Timestamp, batch: &BatchSighting) {
    let sighting = Sighting { at, address: Some(SOURCE), batch: Some(batch.clone()) };
    fixture.registry.sighting(AgentId::new([1; 16]), sighting);
}

fn cloned(fixture: &Fixture) -> Option<Timestamp> {
    fixture.registry.agent(ORGANISATION, AgentId::new([1; 16]), NOW).unwrap().cloned_since
}
