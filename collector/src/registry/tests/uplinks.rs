//! An agent that measures two sites side by side.

use super::*;

const AGENT: AgentId = AgentId::new([1; 16]);
const BOTH: [&str; 2] = ["London-1", "london-2"];

/// The request of the agent for one of both sites.
fn beside(secret: &str, site: &str) -> EnrolmentRequest {
    let site = SiteAssertion {
        name: site.to_owned(),
        provider: String::new(),
        location: String::new(),
        prefixes: vec![],
    };
    EnrolmentRequest { site: Some(site), uplinks: BOTH.map(str::to_owned).to_vec(), ..request(secret, 1, 1) }
}

/// Both sites' registrations, through two providers.
fn both(fixture: &Fixture) -> (Registration, Registration) {
    let second = registration("london-2", "Sample Networks", &["198.51.100.0/24"]);
    (fixture.london(), fixture.register(&second).unwrap())
}

#[test]
fn each_uplink_is_enrolled_by_a_token_of_its_own_and_a_lost_answer_burns_nothing() {
    let fixture = Fixture::new();
    let (first, second) = both(&fixture);
    let secrets = [first.id, second.id].map(|id| fixture.secret(id, None));
    let enrol = |site: &str, secret| fixture.registry.enrol(&beside(secret, site), SOURCE, NOW);
    assert_eq!(enrol("london-1", &secrets[0]).unwrap(), first);
    let caller = || fixture.registry.caller(AGENT, NOW).unwrap().unwrap();
    assert_eq!(caller().uplinks, ["london-1"], "the other one is only claimed");
    assert_eq!(enrol("london-2", &secrets[1]).unwrap(), second);
    assert_eq!(caller().uplinks, ["london-1", "london-2"]);
    for (secret, registration) in secrets.iter().zip([&first, &second]) {
        assert_eq!(enrol(&registration.site, secret).unwrap(), *registration, "asked again");
    }
    let contradicting = enrol("london-2", &secrets[0]).unwrap_err();
    assert!(matches!(contradicting, EnrolError::SiteMismatch { .. }), "{contradicting}");
    let moved = fixture.registry.enrol(&request(&secrets[0], 1, 1), SOURCE, NOW).unwrap_err();
    assert!(matches!(moved, EnrolError::TokenRefused { .. }), "{moved}");
    fixture.registry.enrol(&request(&fixture.secret(first.id, None), 1, 1), SOURCE, NOW).unwrap();
    assert!(caller().uplinks.is_empty(), "without uplinks a new token moves it");
}

#[test]
fn lists_show_every_site_of_an_agent_and_its_assignment_is_that_of_all() {
    let fixture = Fixture::new();
    let (first, second) = both(&fixture);
    for registration in [&first, &second] {
        let secret = fixture.secret(registration.id, None);
        fixture.registry.enrol(&beside(&secret, &registration.site), SOURCE, NOW).unwrap();
    }
    for (address, provider) in [("a.example.com", "Example Telecom"), ("b.example.com", "Sample Networks")] {
        let target = NewTarget {
            name: provider.to_owned(),
            address: address.to_owned(),
            probes: vec!["icmp".to_owned()],
            provider: Some(provider.to_owned()),
            ..NewTarget::default()
        };
        fixture.registry.add_target(&target, &Operator::local(), NOW).unwrap();
    }
    assert_eq!(fixture.registry.assignment(AGENT, NOW).unwrap().targets.len(), 2);
    let entry = fixture.registry.agent(ORGANISATION, AGENT, NOW).unwrap();
    assert_eq!(entry.site, "london-2");
    let others: Vec<_> = entry.others.iter().map(|other| (other.site.as_str(), other.registration)).collect();
    assert_eq!(others, [("london-1", first.id)]);
    fixture.registry.end_registration(first.id, later(60), &Operator::local(), NOW).unwrap();
    let entry = fixture.registry.agent(ORGANISATION, AGENT, later(60)).unwrap();
    assert_eq!((entry.registration_ended, entry.others[0].registration_ended), (None, Some(later(60))));
    assert!(entry.state[0].starts_with("registration of `london-1` ended"), "{:?}", entry.state);
}
