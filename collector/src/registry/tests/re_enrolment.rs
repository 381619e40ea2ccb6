//! Tokens for many machines: from where they hold, and which machines become the agents that they were. And retirement.

use super::*;

/// A token's secret.
fn issue(fixture: &Fixture, new: NewToken) -> String {
    let new = NewToken { registration: RegistrationId(1), uses: Some(9), ..new };
    let issued = fixture.registry.create_token(&new, &identity(), &Operator::local(), NOW).unwrap();
    issued.token.parse::<EnrolmentToken>().unwrap().secret
}

/// The machine `host`, set up anew as `agent`.
fn machine(secret: &str, agent: u8, key: u8, host: &str) -> EnrolmentRequest {
    EnrolmentRequest { host: host.to_owned(), adopts: true, ..request(secret, agent, key) }
}

fn re_enrolling() -> (Fixture, String) {
    let fixture = Fixture::new();
    fixture.london();
    let secret = issue(&fixture, NewToken { re_enrol: true, ..NewToken::default() });
    fixture.registry.enrol(&machine(&secret, 1, 1, "till-1"), SOURCE, NOW).unwrap();
    (fixture, secret)
}

/// As which agent the collector knows the machine, or what else it says.
fn known_as(outcome: Result<Registration, EnrolError>) -> Result<AgentId, String> {
    match outcome {
        Err(EnrolError::KnownAs { agent, .. }) => Ok(agent),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn a_token_holds_only_where_its_prefixes_say() {
    let fixture = Fixture::new();
    fixture.london();
    let sources = vec!["192.0.2.0/28".to_owned(), "2001:db8::/32".to_owned()];
    let secret = issue(&fixture, NewToken { sources, ..NewToken::default() });
    let from = |agent: u8, source: &str| {
        fixture.registry.enrol(&request(&secret, agent, agent), source.parse().unwrap(), NOW)
    };
    from(1, "192.0.2.7").unwrap();
    from(2, "2001:db8::7").unwrap();
    for elsewhere in ["192.0.2.17", "198.51.100.1", "2001:db9::7"] {
        let refused = from(3, elsewhere).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("the enrolment token may not be used from {elsewhere}")),
            "{refused}"
        );
    }
    assert!(from(1, "198.51.100.1").is_err(), "nor is it told again elsewhere");
    let uses = fixture.registry.tokens(ORGANISATION, &EVERY_TOKEN, NOW).unwrap()[0].uses;
    assert_eq!(uses, 2, "refusals burn nothing");
    let wrong = NewToken {
        registration: RegistrationId(1),
        sources: vec!["192.0.2.1/24".to_owned(), "here".to_owned()],
        tags: vec!["Two Words".to_owned()],
        ..NewToken::default()
    };
    assert_eq!(errors(fixture.registry.create_token(&wrong, &identity(), &Operator::local(), NOW)).len(), 3);
}

#[test]
fn a_machine_that_was_set_up_anew_becomes_the_agent_that_it_was() {
    let (fixture, secret) = re_enrolling();
    let enrol =
        |agent, key, host| fixture.registry.enrol(&machine(&secret, agent, key, host), SOURCE, later(600));
    assert_eq!(known_as(enrol(2, 2, "till-1")), Ok(AgentId::new([1; 16])));
    assert_eq!(fixture.registry.agents(ORGANISATION, NOW).unwrap().len(), 1, "nothing is enrolled yet");
    for _lost_answer in 0..2 {
        enrol(1, 2, "till-1").unwrap();
    }
    let agents = fixture.registry.agents(ORGANISATION, NOW).unwrap();
    assert_eq!(agents.len(), 1);
    let caller = fixture.registry.caller(AgentId::new([1; 16]), NOW).unwrap().unwrap();
    assert_eq!(caller.public_key, [2; 32]);
    assert!(matches!(enrol(1, 1, "till-1"), Err(EnrolError::KeyKnown)), "the old key never comes back");
    let uses = fixture.registry.tokens(ORGANISATION, &EVERY_TOKEN, NOW).unwrap()[0].uses;
    assert_eq!(uses, 2);
    // Another machine is another agent.
    enrol(3, 3, "till-2").unwrap();
    assert_eq!(fixture.registry.agents(ORGANISATION, NOW).unwrap().len(), 2);
}

#[test]
fn nobody_takes_the_place_of_an_agent_that_is_heard_of_or_was_revoked_or_has_a_namesake() {
    let (fixture, secret) = re_enrolling();
    let agent = AgentId::new([1; 16]);
    let enrol =
        |agent, key, now| fixture.registry.enrol(&machine(&secret, agent, key, "till-1"), SOURCE, now);
    fixture.registry.sighting(agent, Sighting { at: later(60), address: None, batch: None });
    for (newcomer, key) in [(2, 2), (1, 2)] {
        let heard = enrol(newcomer, key, later(359));
        assert!(matches!(heard, Err(EnrolError::StillHeard { .. })), "{heard:?}");
    }
    let without = fixture.registry.enrol(&request(&secret, 1, 2), SOURCE, later(600));
    assert!(matches!(without, Err(EnrolError::AgentExists { .. })), "another machine's name: {without:?}");
    assert!(known_as(enrol(2, 2, later(360))).is_ok());
    fixture.registry.revoke_agent(agent, &Operator::local(), later(361)).unwrap();
    assert!(matches!(enrol(1, 2, later(700)), Err(EnrolError::AgentExists { .. })));
    enrol(2, 2, later(700)).unwrap();
    fixture.registry.retire_agent(agent, &Operator::local(), later(701)).unwrap();
    enrol(3, 3, later(9_000)).unwrap();
    assert_eq!(
        fixture.registry.agents(ORGANISATION, NOW).unwrap().len(),
        3,
        "of two namesakes neither is meant"
    );
    let plain = issue(&fixture, NewToken::default());
    let refused = fixture.registry.enrol(&machine(&plain, 1, 9, "till-1"), SOURCE, later(9_000));
    assert!(matches!(refused, Err(EnrolError::AgentExists { .. })), "only where the token lets it");
}

#[test]
fn a_retired_agent_is_refused_and_comes_back_with_a_token_alone() {
    let (fixture, secret) = re_enrolling();
    let agent = AgentId::new([1; 16]);
    let retired = fixture.registry.retire_itself(agent, later(5)).unwrap();
    assert_eq!((retired.revoked, retired.retired_by.as_deref()), (Some(later(5)), Some("agent")));
    assert_eq!(retired.state, ["retired 2026-09-21T14:13:25Z by its machine"]);
    assert!(fixture.registry.caller(agent, later(6)).unwrap().unwrap().revoked);
    assert_eq!(fixture.registry.retire_agent(agent, &Operator::local(), later(9)).unwrap(), retired);
    assert_eq!(fixture.registry.count_agents(ORGANISATION, false).unwrap(), 0);
    let written = fixture.registry.audit(ORGANISATION, 1).unwrap();
    assert_eq!((written[0].who.as_str(), written[0].what.as_str()), ("agent", "agent retire"));
    fixture.registry.enrol(&machine(&secret, 1, 2, "till-1"), SOURCE, later(600)).unwrap();
    let back = fixture.registry.agent(ORGANISATION, agent, later(600)).unwrap();
    assert_eq!((back.revoked, back.retired_by), (None, None));
}
