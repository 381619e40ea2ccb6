//! Target sets: staged, rolled out to a share, rolled back, refused; and how an older registry gets its first one.

use super::*;
use peerlight_proto::id::SessionId;

fn target(name: &str) -> NewTarget {
    NewTarget {
        name: name.to_owned(),
        address: format!("{name}.example.com"),
        probes: vec!["icmp".to_owned()],
        ..NewTarget::default()
    }
}

/// A registry with agents 1 to `count` of one site.
fn fleet(count: u8) -> Fixture {
    let fixture = Fixture::new();
    let london = fixture.london();
    let secret = fixture.secret(london.id, Some(count.into()));
    for number in 1..=count {
        fixture.registry.enrol(&request(&secret, number, number), SOURCE, NOW).unwrap();
    }
    fixture
}

impl Fixture {
    fn add(&self, new: &NewTarget) -> Result<Vec<TargetEntry>, RegistryError> {
        self.registry.add_target(new, &Operator::local(), NOW)
    }

    fn stage(&self, name: &str) -> Vec<TargetEntry> {
        self.add(&NewTarget { staged: true, ..target(name) }).unwrap()
    }

    fn roll_out(&self, share_permille: u16) -> Result<RollOut, RegistryError> {
        self.registry.roll_out_targets(NewShare { share_permille }, &Operator::local(), NOW)
    }

    fn roll_back(&self, to: Option<u32>) -> Result<RollOut, RegistryError> {
        self.registry.roll_back_targets(RollBack { to }, &Operator::local(), NOW)
    }

    /// The target sets of agents 1 to `count`.
    fn assigned(&self, count: u8) -> Vec<u32> {
        (1..=count)
            .map(|agent| self.registry.assignment(AgentId::new([agent; 16]), NOW).unwrap().set)
            .collect()
    }

    /// What an agent is to measure.
    fn names(&self, agent: u8) -> Vec<String> {
        let assignment = self.registry.assignment(AgentId::new([agent; 16]), NOW).unwrap();
        let mut names: Vec<_> = assignment.targets.into_iter().map(|assigned| assigned.target.name).collect();
        names.sort();
        names
    }

    /// An agent says how it is.
    fn says(&self, agent: u8, seconds: i64, health: AgentHealth) {
        let at = Timestamp::from_micros(NOW.as_micros() + seconds * 1_000_000);
        let batch = BatchSighting {
            session: SessionId::new([1; 16]),
            span: None,
            interval: Duration::from_mins(1),
            created: at,
            clock_offset_us: Some(0),
            version: "0.0.9".to_owned(),
            health,
        };
        let sighting = Sighting { at, address: Some(SOURCE), batch: Some(batch) };
        self.registry.sighting(AgentId::new([agent; 16]), sighting);
    }
}

#[test]
fn a_staged_set_reaches_a_share_that_grows_and_one_command_takes_it_back() {
    let fixture = fleet(100);
    fixture.add(&target("a")).unwrap();
    fixture.stage("b");
    assert_eq!(fixture.assigned(100), [1; 100], "nobody has it before it is rolled out");
    let few = fixture.roll_out(100).unwrap();
    assert_eq!(few, RollOut { in_force: 1, staged: Some(2), share_permille: 100 });
    let first = fixture.assigned(100);
    let having = |sets: &[u32]| sets.iter().filter(|set| **set == 2).count();
    assert!((2..=25).contains(&having(&first)), "{}", having(&first));
    // A change of what is staged changes nothing of who has it.
    fixture.stage("c");
    fixture.roll_out(500).unwrap();
    let more = fixture.assigned(100);
    let kept = first.iter().zip(&more).all(|(before, after)| *before != 2 || *after == 3);
    assert!(kept && more.contains(&1) && more.contains(&3));
    assert_eq!(fixture.roll_back(None).unwrap(), RollOut { in_force: 1, ..RollOut::default() });
    assert_eq!(fixture.assigned(100), [1; 100]);
    assert_eq!(fixture.names(1), ["a"]);
}

#[test]
fn all_agents_is_in_force_and_a_roll_back_goes_to_the_set_before_it() {
    let fixture = fleet(1);
    fixture.add(&target("a")).unwrap();
    fixture.stage("b");
    fixture.stage("c");
    assert_eq!(fixture.roll_out(1_000).unwrap(), RollOut { in_force: 3, ..RollOut::default() });
    assert_eq!(fixture.names(1), ["a", "b", "c"]);
    assert_eq!(fixture.roll_back(None).unwrap().in_force, 1, "not to the half of a roll-out");
    assert_eq!(fixture.names(1), ["a"]);
    assert_eq!(fixture.roll_back(None).unwrap().in_force, 0);
    assert_eq!(fixture.names(1), [""; 0]);
    let nothing_before = fixture.roll_back(None).unwrap_err();
    assert!(nothing_before.to_string().contains("no target set is known before 0"), "{nothing_before}");
    assert_eq!(fixture.roll_back(Some(3)).unwrap().in_force, 3, "any set can be gone to");
    let unknown = fixture.roll_back(Some(9)).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no target set `9`");
    let audited: Vec<_> = fixture
        .registry
        .audit(ORGANISATION, 4)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.what, entry.object))
        .collect();
    let entry = |what: &str, set: u32| (what.to_owned(), format!("target set {set}"));
    let roll_back = |set| entry("target roll-back", set);
    assert_eq!(audited, [roll_back(3), roll_back(0), roll_back(1), entry("target roll-out", 3)]);
}

#[test]
fn while_a_set_is_staged_only_that_one_is_changed() {
    let fixture = fleet(1);
    let none = fixture.roll_out(10).unwrap_err();
    assert!(none.to_string().contains("no target set is staged"), "{none}");
    let first = fixture.add(&target("a")).unwrap();
    fixture.stage("b");
    let refused = fixture.add(&target("c")).unwrap_err();
    assert!(refused.to_string().contains("target set 2 is staged"), "{refused}");
    let removed = fixture.registry.remove_target(first[0].id, false, &Operator::local(), NOW);
    assert!(removed.is_err());
    fixture.registry.remove_target(first[0].id, true, &Operator::local(), NOW).unwrap();
    let names = |which| -> Vec<String> {
        let targets = fixture.registry.targets_of(ORGANISATION, which).unwrap();
        targets.into_iter().map(|target| target.name).collect()
    };
    assert_eq!(
        (names(WhichSet::InForce), names(WhichSet::Staged)),
        (vec!["a".to_owned()], vec!["b".to_owned()])
    );
    assert_eq!(names(WhichSet::Number(2)), ["a", "b"], "a set never changes");
    // The same target again is another one.
    fixture.add(&NewTarget { staged: true, ..target("a") }).unwrap();
    assert_eq!(errors(fixture.roll_out(1_001)), ["a share of 1001 thousandths is more than all agents"]);
}

#[test]
fn a_tag_chooses_agents_and_a_token_gives_it() {
    let fixture = fleet(1);
    let tagged =
        NewToken { registration: RegistrationId(1), tags: vec!["till".to_owned()], ..NewToken::default() };
    let issued = fixture.registry.create_token(&tagged, &identity(), &Operator::local(), NOW).unwrap();
    let secret = issued.token.parse::<EnrolmentToken>().unwrap().secret;
    fixture.registry.enrol(&request(&secret, 2, 2), SOURCE, NOW).unwrap();
    fixture.add(&NewTarget { tag: Some("till".to_owned()), ..target("a") }).unwrap();
    assert_eq!((fixture.names(1), fixture.names(2)), (vec![], vec!["a".to_owned()]));
    let new = NewTags { add: vec!["till".to_owned(), "branch".to_owned()], remove: vec![] };
    fixture.registry.tag_agent(AgentId::new([1; 16]), &new, &Operator::local(), NOW).unwrap();
    assert_eq!(fixture.names(1), ["a"]);
    let none = NewTags { add: vec![], remove: vec!["till".to_owned()] };
    let entry = fixture.registry.tag_agent(AgentId::new([1; 16]), &none, &Operator::local(), NOW).unwrap();
    assert_eq!((entry.tags.as_slice(), fixture.names(1)), (["branch".to_owned()].as_slice(), vec![]));
    let again = fixture.registry.tag_agent(AgentId::new([1; 16]), &none, &Operator::local(), NOW);
    assert_eq!(errors(again), ["it has no tag `till` to remove"]);
    let wrong = NewTarget { tag: Some("Two Words".to_owned()), ..target("b") };
    assert!(errors(fixture.add(&wrong))[0].starts_with("`Two Words` is not a tag"));
}

#[test]
fn a_refusal_is_shown_counted_and_written_down_once() {
    let fixture = fleet(2);
    fixture.add(&target("a")).unwrap();
    fixture.stage("b");
    let holding = |set| AgentHealth { held_set: Some(set), ..AgentHealth::default() };
    let refusing = |set| AgentHealth {
        refused_set: Some(set),
        refusal: "b.example.com icmp: this port may not be probed".to_owned(),
        ..holding(1)
    };
    fixture.says(1, 60, refusing(2));
    fixture.says(2, 60, holding(2));
    let sets = fixture.registry.target_sets(ORGANISATION).unwrap();
    let counts: Vec<_> =
        sets.iter().map(|set| (set.number, set.state, set.held_by, set.refused_by)).collect();
    assert_eq!(counts, [(2, TargetSetState::Staged, 1, 1), (1, TargetSetState::InForce, 1, 0)]);
    let entry =
        |agent: u8, now| fixture.registry.agent(ORGANISATION, AgentId::new([agent; 16]), now).unwrap();
    assert_eq!(
        entry(1, later(61)).state,
        ["refuses target set 2: b.example.com icmp: this port may not be probed"]
    );
    assert!(entry(1, later(61)).behind && entry(2, later(61)).state.is_empty());
    // Again, and one that no operator ever made.
    fixture.says(1, 120, refusing(2));
    fixture.registry.note_sightings().unwrap();
    fixture.says(1, 180, refusing(77));
    fixture.registry.note_sightings().unwrap();
    let written = fixture.registry.audit(ORGANISATION, 100).unwrap();
    let written: Vec<_> = written.iter().filter(|entry| entry.what == "target refuse").collect();
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].who.as_str(), written[0].object.as_str()), ("agent", "london-1"));
    assert_eq!(written[0].after.as_ref().unwrap()["target_set"], 2);
}

#[test]
fn what_was_lost_yesterday_is_no_concern_today() {
    let fixture = fleet(1);
    let lost = |batches| AgentHealth { dropped_batches: batches, ..AgentHealth::default() };
    let state = |now| fixture.registry.agent(ORGANISATION, AgentId::new([1; 16]), now).unwrap().state;
    fixture.says(1, 60, lost(2));
    assert_eq!(state(later(61)), ["dropping (2 batches, last 2026-09-21T14:14:20Z)"]);
    fixture.says(1, 86_400, lost(2));
    assert_eq!(state(later(86_461)), [""; 0]);
    fixture.says(1, 86_520, lost(3));
    assert_eq!(state(later(86_521)), ["dropping (3 batches, last 2026-09-22T14:15:20Z)"]);
}

#[test]
fn what_an_older_registry_assigned_is_its_first_target_set() {
    let (_directory, path, older) = older(5);
    older
        .execute_batch(
            "INSERT INTO target VALUES (1, 1, zeroblob(16), 'gone', '', 'a.example', 'icmp', NULL, NULL, NULL, 5, 6);
             INSERT INTO target VALUES (2, 1, zeroblob(16), 'kept', '', 'a.example', 'icmp', 5000, 1, NULL, 7, NULL);",
        )
        .unwrap();
    drop(older);
    let registry = Registry::open(&path).unwrap();
    let assignment = registry.assignment(AgentId::new([1; 16]), NOW).unwrap();
    let names: Vec<_> = assignment.targets.iter().map(|assigned| assigned.target.name.as_str()).collect();
    assert_eq!((assignment.set, names.as_slice()), (1, ["kept"].as_slice()));
    let sets = registry.target_sets(ORGANISATION).unwrap();
    assert_eq!((sets.len(), sets[0].targets, sets[0].made_of), (1, 1, None));
    assert!(registry.roll_back_targets(RollBack::default(), &Operator::local(), NOW).is_err());
    let entry = registry.agent(ORGANISATION, AgentId::new([1; 16]), NOW).unwrap();
    assert_eq!((entry.tags, entry.retired_by), (vec![], None));
    registry.add_target(&target("b"), &Operator::local(), NOW).unwrap();
    assert_eq!(registry.targets(ORGANISATION).unwrap().len(), 2);
}
