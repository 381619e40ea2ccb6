use super::*;
use crate::{
    alert::{Doors, Event, EventKind, Ground, Reading, RuleKind, Scope, Spot, defaults, turn},
    registry::Role,
};
use peerlight_proto::metric::Metric;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const ORGANISATION: OrganisationId = OrganisationId::DEFAULT;

fn ana() -> Operator {
    Operator::of(ORGANISATION, "ana".into(), Role::Administrator)
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// All probes to a target lost.
fn lost() -> Reading {
    Reading {
        rule: "loss".into(),
        spot: Spot {
            provider: "Aurora".into(),
            location: "GB-LND".into(),
            site: "s".into(),
            target: "t".into(),
        },
        metric: Metric::IcmpRtt,
        value: Some(1.0),
        at_least: Some(0.9),
        samples: 30,
        detail: None,
        from: NOW,
        to: NOW,
    }
}

/// A registry of which one alert fires, told to `receivers`.
fn firing(receivers: &[&str]) -> (Registry, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::open(&directory.path().join("registry.sqlite")).unwrap();
    look(&registry, receivers, &[lost()], 0);
    look(&registry, receivers, &[lost()], 300);
    (registry, directory)
}

fn look(registry: &Registry, receivers: &[&str], readings: &[Reading], at: u64) -> usize {
    let receivers: Vec<String> = receivers.iter().map(|&name| name.to_owned()).collect();
    let doors = Doors::default();
    let (told, _open) = registry
        .turn_alerts(ORGANISATION, &receivers, later(at), |standing, rules, maintenance| {
            let ground = Ground { rules, maintenance, readings, doors: &doors, doors_before: &doors };
            turn(standing, &ground, later(at))
        })
        .unwrap();
    told
}

#[test]
fn what_was_told_is_not_told_again_by_a_registry_that_is_opened_anew() {
    let (registry, directory) = firing(&["pager", "noc"]);
    drop(registry);
    let registry = Registry::open(&directory.path().join("registry.sqlite")).unwrap();
    assert_eq!(look(&registry, &["pager", "noc"], &[lost()], 360), 0);
    let alerts = registry.alerts(ORGANISATION, false).unwrap();
    assert_eq!(
        alerts.iter().map(|alert| (alert.id, alert.state)).collect::<Vec<_>>(),
        [(1, AlertState::Firing)]
    );
    let told = registry.deliveries(ORGANISATION, 1).unwrap();
    assert_eq!(
        told.iter().map(|one| (one.receiver.as_str(), one.kind)).collect::<Vec<_>>(),
        [("pager", EventKind::Firing), ("noc", EventKind::Firing)]
    );
    let good = Reading { value: Some(0.0), at_least: Some(0.0), ..lost() };
    assert_eq!(look(&registry, &["pager"], std::slice::from_ref(&good), 420), 0);
    assert_eq!(look(&registry, &["pager"], &[good], 720), 1);
    assert_eq!(registry.alerts(ORGANISATION, false).unwrap(), []);
    assert_eq!(registry.alerts(ORGANISATION, true).unwrap()[0].state, AlertState::Resolved);
}

#[test]
fn deliveries_of_an_alert_keep_their_order_and_a_failed_one_waits() {
    let (registry, _directory) = firing(&["pager"]);
    let good = Reading { value: Some(0.0), at_least: Some(0.0), ..lost() };
    look(&registry, &["pager"], std::slice::from_ref(&good), 420);
    look(&registry, &["pager"], &[good], 720);
    let next = |at| registry.next_delivery("pager", later(at)).unwrap();
    let first = next(720).unwrap();
    assert_eq!((first.event.kind, first.attempts), (EventKind::Firing, 0));
    let failed = DeliveryOutcome::Later { at: later(735), error: "it answered 503".into() };
    registry.note_delivery(first.id, &failed, later(720)).unwrap();
    assert_eq!(next(721), Err(Some(later(735))), "that it is over waits for that it fires");
    assert_eq!(next(735).unwrap().attempts, 1);
    registry.note_delivery(first.id, &DeliveryOutcome::Delivered, later(735)).unwrap();
    let second = next(735).unwrap();
    assert_eq!(second.event.kind, EventKind::Resolved);
    let given_up = DeliveryOutcome::GivenUp { error: "it answered 400".into() };
    registry.note_delivery(second.id, &given_up, later(736)).unwrap();
    assert_eq!(next(9_999), Err(None));
    let undelivered = registry.undelivered("pager", NOW).unwrap();
    assert_eq!(undelivered, Undelivered { waiting: 0, given_up: 1 });
    assert_eq!(registry.next_delivery("noc", later(999)).unwrap(), Err(None));
}

#[test]
fn an_acknowledged_alert_says_by_whom_and_one_that_is_over_cannot_be() {
    let (registry, _directory) = firing(&[]);
    let note = AlertNote { note: " on it ".into() };
    let after = registry.acknowledge_alert(1, &note, &ana(), later(400)).unwrap();
    let acknowledged = after.acknowledged.clone().unwrap();
    assert_eq!((after.state, acknowledged.note.as_str()), (AlertState::Acknowledged, "on it"));
    let silence = |until: String| registry.silence_alert(1, &AlertSilence { until }, &ana(), later(400));
    assert_eq!(silence(rfc3339::text(later(3_600))).unwrap().silenced_until, Some(later(3_600)));
    assert_eq!(silence(rfc3339::text(NOW)).unwrap().silenced_until, None);
    assert!(silence("soon".to_owned()).is_err());
    assert!(
        registry.acknowledge_alert(2, &note, &ana(), NOW).unwrap_err().to_string().contains("no alert `2`")
    );
    let good = Reading { value: Some(0.0), at_least: Some(0.0), ..lost() };
    look(&registry, &[], std::slice::from_ref(&good), 420);
    look(&registry, &[], &[good], 720);
    assert!(registry.acknowledge_alert(1, &note, &ana(), NOW).unwrap_err().to_string().contains("is over"));
}

#[test]
fn rules_hold_until_others_are_set_and_unusable_ones_never_do() {
    let (registry, _directory) = firing(&[]);
    let before = registry.alert_rules(ORGANISATION).unwrap();
    assert_eq!((before.number, before.rules.len()), (0, 7));
    let silence = defaults().into_iter().filter(|rule| rule.kind == RuleKind::Silence).collect();
    let after = registry.set_alert_rules(NewRules { rules: silence }, &ana(), NOW).unwrap();
    assert_eq!((after.number, &after), (1, &registry.alert_rules(ORGANISATION).unwrap()));
    let twice = [defaults().swap_remove(0), defaults().swap_remove(0)].to_vec();
    let refused = registry.set_alert_rules(NewRules { rules: twice }, &ana(), NOW).unwrap_err();
    assert!(refused.to_string().contains("two rules are called `loss`"), "{refused}");
    assert_eq!(registry.alert_rules(ORGANISATION).unwrap().number, 1);
    // What the rule found that is gone is over.
    assert_eq!(look(&registry, &["pager"], &[], 600), 1);
}

#[test]
fn a_maintenance_window_is_checked_and_can_be_ended() {
    let (registry, _directory) = firing(&[]);
    let scope = Scope { sites: ["s".to_owned()].into(), ..Scope::default() };
    let new = |from: Option<u64>, to: u64| crate::alert::NewMaintenance {
        scope: scope.clone(),
        from: from.map(|from| rfc3339::text(later(from))),
        to: rfc3339::text(later(to)),
        reason: "new router".into(),
    };
    let window = registry.add_maintenance(new(None, 3_600), &ana(), NOW).unwrap();
    assert_eq!((window.id, window.from, window.to), (1, NOW, later(3_600)));
    assert_eq!(registry.maintenance(ORGANISATION, false, later(10)).unwrap(), [window]);
    let ended = registry.end_maintenance(1, &ana(), later(20)).unwrap();
    assert_eq!(ended.to, later(20));
    assert_eq!(registry.maintenance(ORGANISATION, false, later(20)).unwrap(), []);
    assert_eq!(registry.maintenance(ORGANISATION, true, later(20)).unwrap().len(), 1);
    assert!(registry.end_maintenance(1, &ana(), later(30)).is_err());
    for (from, to) in [(None, 0), (Some(100), 100), (None, 31 * 86_400)] {
        assert!(registry.add_maintenance(new(from, to), &ana(), NOW).is_err(), "{from:?} {to}");
    }
    let unread = crate::alert::NewMaintenance { from: Some("x".into()), reason: " ".into(), ..new(None, 9) };
    let refused = registry.add_maintenance(unread, &ana(), NOW).unwrap_err().to_string();
    assert!(refused.contains("from: ") && refused.contains("reason must have"), "{refused}");
    let event = Event { kind: EventKind::Firing, at: NOW, alert: registry.alert(ORGANISATION, 1).unwrap() };
    assert!(crate::alert::message::text(&event, None).contains("peerlight-collector alert show 1"));
}
