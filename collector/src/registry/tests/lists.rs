//! Lists that come in pages say, put together, what the whole list says.

use super::{super::agents::SELECT, *};

/// Three sites, two with two agents, of which some are revoked; the first enrolled is not of the first site.
fn fleet() -> (Fixture, Vec<AgentId>) {
    let fixture = Fixture::new();
    let mut agents = Vec::new();
    for (number, site) in (1_u8..).zip(["oslo-1", "leeds-1", "London-1"]) {
        let prefix = format!("192.0.{number}.0/24");
        let site = fixture.register(&registration(site, "Example Telecom", &[&prefix])).unwrap();
        let secret = fixture.secret(site.id, Some(2));
        for machine in 0..if number == 2 { 1 } else { 2 } {
            let request = request(&secret, 16 * number + machine, 16 * number + machine);
            fixture.registry.enrol(&request, SOURCE, NOW).unwrap();
            agents.push(request.agent);
        }
    }
    for agent in [agents[1], agents[2]] {
        fixture.registry.revoke_agent(agent, &Operator::local(), later(1)).unwrap();
    }
    (fixture, agents)
}

#[test]
fn pages_of_agents_are_the_whole_list_in_the_order_of_sites() {
    let (fixture, agents) = fleet();
    let registry = &fixture.registry;
    let whole = registry.agents(ORGANISATION, NOW).unwrap();
    let sites: Vec<_> = whole.iter().map(|entry| entry.site.as_str()).collect();
    assert_eq!(sites, ["London-1", "London-1", "leeds-1", "oslo-1", "oslo-1"]);
    for revoked in [true, false] {
        let mut paged = Vec::new();
        let mut query = AgentQuery { revoked, after: None, limit: Some(2) };
        loop {
            let page = registry.list_agents(ORGANISATION, &query, NOW).unwrap();
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { break };
            query.after = Some(AgentPlace { site: last.site.clone(), agent: last.agent });
            paged.extend(page);
        }
        let scanned: Vec<_> =
            whole.iter().filter(|entry| revoked || entry.revoked.is_none()).cloned().collect();
        assert_eq!(paged, scanned);
        assert_eq!(registry.count_agents(ORGANISATION, revoked).unwrap(), scanned.len());
    }
    let gone: Vec<_> =
        registry.revoked_agents(ORGANISATION, NOW).unwrap().iter().map(|entry| entry.agent).collect();
    assert_eq!(gone, agents[1..3]);
    assert_eq!(registry.agents(OrganisationId(2), NOW).unwrap(), []);
}

#[test]
fn agents_that_were_seen_lately_are_counted() {
    let (fixture, agents) = fleet();
    for (agent, at) in agents.iter().zip([5, 10, 15]) {
        fixture.registry.sighting(*agent, Sighting { at: later(at), address: None, batch: None });
    }
    let seen = |at| fixture.registry.agents_seen_lately(later(at));
    assert_eq!([seen(20), seen(605), seen(606), seen(610), seen(616)], [3, 3, 2, 2, 0]);
}

#[test]
fn pages_of_tokens_are_the_whole_list_newest_first() {
    let (fixture, _agents) = fleet();
    let registry = &fixture.registry;
    let site = registry.registrations(ORGANISATION).iter().next().unwrap().id;
    for _token in 0..3 {
        fixture.secret(site, None);
    }
    registry.revoke_token(5, &Operator::local(), NOW).unwrap();
    for (at, numbers) in [(0, vec![6, 4, 2]), (3_600, vec![])] {
        let now = later(at);
        let mut query = TokenQuery { all: false, before: None, limit: Some(2) };
        let mut paged = Vec::new();
        while let Some(last) = {
            let page = registry.tokens(ORGANISATION, &query, now).unwrap();
            paged.extend(page.iter().cloned());
            page.last().cloned()
        } {
            query.before = Some(last.id);
        }
        let whole = registry.tokens(ORGANISATION, &EVERY_TOKEN, now).unwrap();
        let scanned: Vec<_> = whole.iter().filter(|token| token.holds(now)).cloned().collect();
        assert_eq!(paged, scanned);
        assert_eq!(paged.iter().map(|token| token.id).collect::<Vec<_>>(), numbers);
        assert_eq!(registry.count_tokens(ORGANISATION, false, now).unwrap(), numbers.len());
        assert_eq!(registry.count_tokens(ORGANISATION, true, now).unwrap(), 6);
    }
}

#[test]
fn what_grows_with_the_fleet_is_found_by_an_index() {
    let (fixture, _agents) = fleet();
    let connection = fixture.registry.connection();
    let plan = |sql: &str| -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // What a plan is does not depend on the parameters.
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        steps.join("\n")
    };
    let page = format!("{SELECT} {}", agent_list::BY_SITE);
    for sql in [reattribution::WRITTEN_DOWN, &page] {
        let plan = plan(sql);
        assert!(plan.contains("SEARCH") && !plan.contains("SCAN"), "{sql}: {plan}");
    }
    // A page begins where it is asked to, and goes from each registration to its own agents.
    let page = plan(&page);
    for step in ["registration_site (organisation=? AND site>?)", "agent_registration (registration=?)"] {
        assert!(page.contains(step), "{page}");
    }
    // The sites of one agent are a table of their own, of which every row is wanted.
    let scans: Vec<String> = plan(registrations::OF_AGENT)
        .lines()
        .filter(|step| step.contains("SCAN"))
        .map(str::to_owned)
        .collect();
    assert_eq!(scans, ["SCAN enrolled"]);
}
