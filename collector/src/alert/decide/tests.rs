use super::*;
use crate::alert::{Acknowledgement, Culprit, Percentile, RuleKind, Scope, defaults};
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_secs(1_790_000_000);
const SITES: [(&str, &str, &str); 5] = [
    ("Aurora", "GB-LND", "al1"),
    ("Aurora", "GB-LND", "al2"),
    ("Borealis", "GB-LND", "bl1"),
    ("Borealis", "GB-LND", "bl2"),
    ("Borealis", "FR-IDF", "bp1"),
];

fn minute(at: u64) -> Timestamp {
    START.plus(Duration::from_mins(at))
}

fn spot(site: &str) -> Spot {
    let (provider, location, site) = SITES.into_iter().find(|(.., name)| *name == site).unwrap();
    Spot { provider: provider.into(), location: location.into(), site: site.into(), target: "teams".into() }
}

/// Loss above 5 % for five minutes pages, latency above 250 ms for as long makes a ticket.
fn rules() -> Vec<Rule> {
    let [loss, latency] =
        [0, 1].map(|at| Rule { lasting: Duration::from_mins(5), ..defaults().swap_remove(at) });
    vec![loss, latency]
}

fn reading(rule: &str, site: &str, value: f64, at: Timestamp) -> Reading {
    Reading {
        rule: rule.to_owned(),
        spot: spot(site),
        metric: peerlight_proto::metric::Metric::TcpConnect,
        value: Some(value),
        at_least: Some(value),
        samples: 60,
        detail: None,
        from: at.minus(Duration::from_mins(8)),
        to: at.minus(Duration::from_mins(3)),
    }
}

/// An installation over time.
struct World {
    rules: Vec<Rule>,
    maintenance: Vec<Maintenance>,
    standing: Standing,
    now: u64,
    told: Vec<(u64, EventKind, u64, String)>,
    closed: Vec<Alert>,
}

impl World {
    fn new() -> Self {
        let (rules, standing) = (rules(), Standing::default());
        Self { rules, maintenance: Vec::new(), standing, now: 0, told: Vec::new(), closed: Vec::new() }
    }

    /// A minute passes in which every site's loss is 0 but for these, and these sites cannot be judged.
    fn minute(&mut self, bad: &[(&str, f64)], unknown: &[&str]) -> &mut Self {
        let loss = |site: &str| bad.iter().find(|(name, _)| *name == site).map_or(0.0, |(_, loss)| *loss);
        let known = SITES.into_iter().filter(|(.., site)| !unknown.contains(site));
        let readings =
            known.map(|(.., site)| reading("loss", site, loss(site), minute(self.now))).collect::<Vec<_>>();
        self.find(&readings)
    }

    fn minutes(&mut self, count: u64, bad: &[(&str, f64)]) -> &mut Self {
        for _minute in 0..count {
            self.minute(bad, &[]);
        }
        self
    }

    fn find(&mut self, readings: &[Reading]) -> &mut Self {
        let doors = Doors::default();
        let ground = Ground {
            rules: &self.rules,
            maintenance: &self.maintenance,
            readings,
            doors: &doors,
            doors_before: &doors,
        };
        // As after a restart, in every minute: what is kept is all that there is.
        let kept = written_down(&self.standing);
        assert_eq!(kept, self.standing);
        let turned = turn(kept, &ground, minute(self.now));
        let told = turned.events.iter().map(|event| {
            assert_eq!(event.at, minute(self.now));
            (self.now, event.kind, event.alert.id, event.alert.culprit.to_string())
        });
        self.told.extend(told);
        self.closed.extend(turned.closed);
        self.standing = turned.standing;
        self.now += 1;
        self
    }

    fn told(&self) -> Vec<String> {
        let line = |(at, kind, id, culprit): &(u64, EventKind, u64, String)| {
            format!("{at} {} {id} {culprit}", kind.name())
        };
        self.told.iter().map(line).collect()
    }
}

fn written_down(standing: &Standing) -> Standing {
    let held = serde_json::from_str(&serde_json::to_string(&standing.held).unwrap()).unwrap();
    let open = serde_json::from_str(&serde_json::to_string(&standing.open).unwrap()).unwrap();
    Standing { next: standing.next, held, open }
}

#[test]
fn it_fires_once_after_it_has_lasted_and_is_over_after_it_has_been_good_for_as_long() {
    let mut world = World::new();
    world.minutes(3, &[]).minutes(10, &[("al1", 0.4)]).minutes(20, &[]);
    assert_eq!(
        world.told(),
        ["8 firing 1 site al1 (Aurora at GB-LND)", "18 resolved 1 site al1 (Aurora at GB-LND)"]
    );
    let alert = &world.closed[0];
    assert_eq!((alert.since, alert.fired, alert.resolved), (minute(3), Some(minute(8)), Some(minute(18))));
    assert_eq!(alert.evidence.at, minute(12), "what it rested on stays");
    assert!(world.standing.open.is_empty() && world.standing.held.is_empty());
}

#[test]
fn what_does_not_last_is_told_to_nobody() {
    let mut world = World::new();
    for _again in 0..10 {
        world.minutes(5, &[("al1", 0.4)]).minutes(1, &[]);
    }
    assert!(world.told().is_empty());
    assert!(world.standing.open.is_empty());
}

#[test]
fn a_loss_that_is_not_certain_raises_nothing() {
    let mut world = World::new();
    for at in 0..20 {
        let doubtful = Reading { at_least: Some(0.04), ..reading("loss", "al1", 0.2, minute(at)) };
        world.find(&[doubtful]);
    }
    assert!(world.told().is_empty());
}

#[test]
fn sites_that_fail_one_after_another_are_one_alert_that_widens() {
    let mut world = World::new();
    world.minutes(7, &[("al1", 0.4)]).minutes(10, &[("al1", 0.4), ("al2", 0.9)]).minutes(10, &[]);
    assert_eq!(
        world.told(),
        [
            "5 firing 1 site al1 (Aurora at GB-LND)",
            "7 updated 1 provider Aurora at GB-LND",
            "22 resolved 1 provider Aurora at GB-LND"
        ]
    );
}

#[test]
fn sites_that_fail_within_the_time_that_it_must_last_are_one_alert_of_the_provider() {
    let mut world = World::new();
    world.minutes(2, &[("al1", 0.4)]).minutes(10, &[("al1", 0.4), ("al2", 0.9)]);
    assert_eq!(world.told(), ["5 firing 1 provider Aurora at GB-LND"]);
    let evidence = &world.standing.open[0].evidence;
    let votes: Vec<String> = evidence.votes.iter().map(ToString::to_string).collect();
    assert_eq!(votes, ["2 of 2 sites of Aurora at GB-LND", "0 of 2 sites of other providers at GB-LND"]);
    assert_eq!(evidence.readings[0].spot.site, "al2", "the worst first");
    assert!(evidence.report.contains("provider=Aurora&location=GB-LND"), "{}", evidence.report);
}

#[test]
fn two_alerts_that_turn_out_to_have_one_cause_become_one() {
    let mut world = World::new();
    // bl2 cannot be judged, so that two sites of two providers fail, each alone.
    for _minute in 0..7 {
        world.minute(&[("bl1", 0.4), ("bp1", 0.4)], &["bl2"]);
    }
    world.minutes(12, &[("bl1", 0.4), ("bl2", 0.4), ("bp1", 0.4)]);
    assert_eq!(world.told(), ["5 firing 1 provider Borealis"]);
    let mut world = World::new();
    world
        .minutes(7, &[("al1", 0.4), ("bl1", 0.4)])
        .minutes(7, &[("al1", 0.4), ("al2", 0.4), ("bl1", 0.4), ("bl2", 0.4), ("bp1", 0.4)]);
    assert_eq!(
        world.told(),
        [
            "5 firing 1 site al1 (Aurora at GB-LND)",
            "5 firing 2 site bl1 (Borealis at GB-LND)",
            "7 updated 1 target teams",
            "7 resolved 2 site bl1 (Borealis at GB-LND)"
        ]
    );
    assert_eq!(world.closed[0].part_of, Some(1));
}

#[test]
fn a_provider_of_which_one_site_is_left_stays_one_alert() {
    let mut world = World::new();
    let both = [("al1", 0.4), ("al2", 0.9)];
    world.minutes(7, &both).minutes(10, &[("al1", 0.4)]).minutes(3, &both).minutes(9, &[]);
    assert_eq!(
        world.told(),
        ["5 firing 1 provider Aurora at GB-LND", "25 resolved 1 provider Aurora at GB-LND"]
    );
}

#[test]
fn what_cannot_be_judged_changes_nothing() {
    let mut world = World::new();
    world.minutes(7, &[("al1", 0.4)]);
    for _minute in 0..60 {
        world.minute(&[], &["al1", "al2", "bl1", "bl2", "bp1"]);
    }
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    world.minutes(10, &[]);
    assert_eq!(world.told()[1], "72 resolved 1 site al1 (Aurora at GB-LND)");
}

#[test]
fn what_nobody_measures_any_more_is_over_after_a_day() {
    let mut world = World::new();
    world.minutes(7, &[("al1", 0.4)]);
    for _hour in 0..26 {
        world.now += 60;
        world.minute(&[], &["al1"]);
    }
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}

#[test]
fn one_cause_that_two_rules_find_is_one_alert_as_urgent_as_the_graver() {
    let mut world = World::new();
    for _minute in 0..8 {
        let at = minute(world.now);
        world.find(&[reading("latency", "al1", 400.0, at), reading("loss", "al1", 0.0, at)]);
    }
    for _minute in 0..8 {
        let at = minute(world.now);
        world.find(&[reading("latency", "al1", 400.0, at), reading("loss", "al1", 0.5, at)]);
    }
    assert_eq!(
        world.told(),
        ["5 firing 1 site al1 (Aurora at GB-LND)", "13 updated 1 site al1 (Aurora at GB-LND)"]
    );
    let alert = &world.standing.open[0];
    assert_eq!((alert.severity, alert.rules.len()), (Severity::Page, 2));
    assert_eq!(alert.labels["severity"], "page");
    assert_eq!(alert.summary, "site al1 (Aurora at GB-LND): 50.0% of tcp.connect lost");
}

#[test]
fn a_percentile_that_falls_on_lost_probes_is_beyond_every_threshold() {
    let mut world = World::new();
    for _minute in 0..7 {
        let lost =
            Reading { value: None, at_least: None, ..reading("latency", "al1", 0.0, minute(world.now)) };
        world.find(&[lost]);
    }
    assert_eq!(world.standing.open[0].summary, "site al1 (Aurora at GB-LND): tcp.connect p95 is lost");
}

fn maintenance(from: u64, to: u64, sites: &[&str]) -> Maintenance {
    Maintenance {
        id: 1,
        scope: Scope { sites: sites.iter().map(|&site| site.to_owned()).collect(), ..Scope::default() },
        from: minute(from),
        to: minute(to),
        reason: "new router".into(),
        created_by: "ana".into(),
    }
}

#[test]
fn what_begins_during_maintenance_begins_anew_after_it() {
    let mut world = World::new();
    world.maintenance = vec![maintenance(0, 20, &["al1"])];
    world.minutes(30, &[("al1", 0.4)]);
    assert_eq!(world.told(), ["25 firing 1 site al1 (Aurora at GB-LND)"]);
}

#[test]
fn maintenance_neither_ends_nor_repeats_what_people_know_of() {
    let mut world = World::new();
    world.maintenance = vec![maintenance(10, 20, &["al1"])];
    world.minutes(10, &[("al1", 0.4)]).minutes(10, &[]).minutes(3, &[("al1", 0.4)]).minutes(9, &[]);
    assert_eq!(
        world.told(),
        ["5 firing 1 site al1 (Aurora at GB-LND)", "28 resolved 1 site al1 (Aurora at GB-LND)"]
    );
}

#[test]
fn a_silenced_alert_tells_only_that_it_is_over() {
    let mut world = World::new();
    world.minutes(7, &[("al1", 0.4)]);
    world.standing.open[0].silenced_until = Some(minute(60));
    world.minutes(10, &[("al1", 0.4), ("al2", 0.4)]).minutes(10, &[]);
    assert_eq!(
        world.told(),
        ["5 firing 1 site al1 (Aurora at GB-LND)", "22 resolved 1 provider Aurora at GB-LND"]
    );
}

#[test]
fn what_operators_say_to_a_pending_alert_stays_when_it_fires() {
    let mut world = World::new();
    world.minutes(2, &[("al1", 0.4)]);
    let alert = &mut world.standing.open[0];
    let acknowledged = Acknowledgement { by: "ana".into(), at: minute(2), note: String::new() };
    (alert.acknowledged, alert.silenced_until) = (Some(acknowledged), Some(minute(6)));
    world.minutes(8, &[("al1", 0.4), ("al2", 0.4)]);
    assert_eq!(world.told(), ["6 firing 1 provider Aurora at GB-LND"], "it was silenced when it fired");
    assert_eq!(world.standing.open[0].state, AlertState::Acknowledged);
}

#[test]
fn a_rule_that_is_gone_holds_nothing() {
    let mut world = World::new();
    world.minutes(7, &[("al1", 0.4)]);
    world.rules.remove(0);
    world.minutes(1, &[("al1", 0.4)]);
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}

#[test]
fn somebody_else_who_answers_is_never_hidden_behind_a_slow_line() {
    let mut world = World::new();
    world.rules.push(Rule { lasting: Duration::ZERO, ..defaults().swap_remove(5) });
    assert_eq!(world.rules[2].kind, RuleKind::Issuer);
    world.minutes(7, &[("al1", 0.4)]);
    let at = minute(world.now);
    world.find(&[reading("loss", "al1", 0.4, at), reading("interception", "al1", 1.0, at)]);
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
    assert_eq!(world.standing.open[1].aspect, Aspect::Interception);
}

#[test]
fn everything_at_once_is_one_alert() {
    let mut world = World::new();
    for _minute in 0..7 {
        let at = minute(world.now);
        let all = SITES.into_iter().flat_map(|(.., site)| {
            ["teams", "exchange"].map(|target| {
                let reading = reading("loss", site, 1.0, at);
                Reading { spot: Spot { target: target.into(), ..reading.spot }, ..reading }
            })
        });
        world.find(&all.collect::<Vec<_>>());
    }
    assert_eq!(world.told(), ["5 firing 1 everything"]);
    assert_eq!(world.standing.open[0].culprit, Culprit::Everything);
    assert_eq!(Percentile::P95.enough(), 20);
}

proptest! {
    /// A value that moves between the thresholds raises nothing and ends nothing.
    #[test]
    fn nothing_flaps_between_the_thresholds(permilles in proptest::collection::vec(21_u32..=50, 1..80), bad_first in any::<bool>()) {
        let mut world = World::new();
        if bad_first {
            world.minutes(7, &[("al1", 0.4)]);
        }
        for permille in permilles {
            world.minutes(1, &[("al1", f64::from(permille) / 1e3)]);
        }
        prop_assert_eq!(world.told.len(), usize::from(bad_first));
    }

    /// Whatever happens: an alert fires before it is updated and over, each at most once but for updates, and no bad spot belongs to
    /// two alerts that people know of. That nothing is lost by a restart is asserted each minute.
    #[test]
    fn no_alert_is_told_twice(minutes in proptest::collection::vec((proptest::collection::vec(0_u8..4, 5), 1_u64..8), 1..25)) {
        let mut world = World::new();
        for (states, length) in minutes {
            let states: Vec<_> = SITES.into_iter().map(|(.., site)| site).zip(states).collect();
            let bad: Vec<_> = states.iter().filter(|(_, state)| *state == 1).map(|(site, _)| (*site, 0.5)).collect();
            let between = states.iter().filter(|(_, state)| *state == 2).map(|(site, _)| (*site, 0.03));
            let unknown: Vec<_> = states.iter().filter(|(_, state)| *state == 3).map(|(site, _)| *site).collect();
            let losses: Vec<_> = bad.iter().copied().chain(between).collect();
            for _minute in 0..length {
                world.minute(&losses, &unknown);
                let told: Vec<_> = world.standing.open.iter().filter(|alert| alert.state.is_told()).collect();
                for held in &world.standing.held {
                    let covering = told.iter().filter(|alert| alert.culprit.covers(&held.reading.spot, None));
                    let sites = covering.filter(|alert| alert.evidence.at == minute(world.now - 1))
                        .filter(|alert| alert.evidence.readings.iter().any(|one| one.spot == held.reading.spot));
                    prop_assert!(sites.count() <= 1);
                }
            }
        }
        let mut seen: BTreeMap<u64, Vec<EventKind>> = BTreeMap::new();
        for (_, kind, id, _) in &world.told {
            seen.entry(*id).or_default().push(*kind);
        }
        for (id, kinds) in seen {
            prop_assert_eq!(kinds[0], EventKind::Firing, "alert {}", id);
            prop_assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::Firing).count(), 1);
            let over = kinds.iter().position(|kind| *kind == EventKind::Resolved);
            prop_assert!(over.is_none_or(|at| at + 1 == kinds.len()), "alert {} {:?}", id, kinds);
        }
    }
}
