//! What is chosen, what is objected to, and what no assignment can do.

use super::*;
use crate::proxy::{Bypass, Proxies};
use peerlight_proto::assignment::AssignedTarget;

const DIRECT: HttpsPaths = HttpsPaths::Direct;

fn target(address: &str, probe: &str) -> Target {
    Target {
        name: address.to_owned(),
        service: String::new(),
        address: address.parse().unwrap(),
        probe: probe.parse().unwrap(),
    }
}

fn assignment(targets: Vec<(Target, Option<u32>)>) -> Assignment {
    let assigned = |(target, interval_ms)| AssignedTarget { target, interval_ms };
    Assignment { version: "1.ab".to_owned(), set: 1, targets: targets.into_iter().map(assigned).collect() }
}

#[test]
fn an_assignment_adds_to_the_configuration_and_one_id_is_one_target() {
    let configured =
        [ScheduledTarget { target: target("a.example", "icmp"), interval: Duration::from_secs(7) }];
    let assigned =
        assignment(vec![(target("a.example", "icmp"), Some(5_000)), (target("b.example", "https"), None)]);
    let selection = select(&configured, Some(&assigned), &[], &Ceilings::default(), 2, DIRECT);
    let seen: Vec<_> =
        selection.targets.iter().map(|t| (t.target.address.as_str(), t.interval.as_secs())).collect();
    assert_eq!(seen, [("a.example", 7), ("b.example", 60)]);
    assert!(selection.notes.is_empty());
}

#[test]
fn no_assignment_turns_an_agent_into_a_scanner() {
    let mut wanted = vec![
        (target("a.example", "tcp:22"), None),
        (target("a.example", "icmp"), Some(1)),
        (target("a.example", "https"), Some(1_000)),
    ];
    wanted.extend((0..300).map(|host| (target(&format!("h{host}.example"), "icmp"), None)));
    let selection = select(&[], Some(&assignment(wanted.clone())), &[], &Ceilings::default(), 2, DIRECT);
    assert_eq!(selection.targets.len(), MAX_TARGETS);
    assert!(selection.targets.iter().all(|target| target.target.probe.port() != Some(22)));
    let of = |probe: &str| {
        selection.targets.iter().find(|t| t.target.probe.to_string() == probe).unwrap().interval
    };
    assert_eq!((of("icmp"), of("https")), (Duration::from_secs(1), Duration::from_secs(30)));
    let few = Ceilings { max_packets_per_second: 5, ..Ceilings::default() };
    let selection = select(&[], Some(&assignment(wanted)), &[], &few, 1, DIRECT);
    assert!(few.packets_per_second(&selection.targets, 1, DIRECT) <= 5.0);
    assert!(selection.notes.iter().any(|note| note.contains("too many packets")));
}

#[test]
fn what_lies_beyond_the_ceilings_is_objected_to_and_what_the_owner_allowed_is_not() {
    let selector = |allow: &str| Selector {
        // The file's own targets are its owner's affair.
        configured: vec![ScheduledTarget {
            target: target("b.example", "icmp"),
            interval: Duration::from_millis(1),
        }],
        ceilings: Ceilings {
            allow: allow.split_whitespace().map(|network| network.parse().unwrap()).collect(),
            ..Ceilings::default()
        },
        families: vec![Family::ALL.to_vec()],
        ..Selector::default()
    };
    let objections = |allow, wanted| selector(allow).objections(&assignment(wanted));
    let fine = vec![(target("a.example", "tcp:443"), None), (target("13.107.6.152", "icmp"), Some(1_000))];
    assert_eq!(objections("", fine.clone()), [""; 0]);
    let lab = vec![(target("10.1.2.3", "tcp:22"), Some(20))];
    assert_eq!(objections("10.0.0.0/8", lab.clone()), [""; 0]);
    assert_eq!(
        objections("", [fine, lab].concat()),
        [
            "10.1.2.3 tcp:22: 10.1.2.3 is not a public unicast address",
            "10.1.2.3 tcp:22: probed every 1s at most",
            "10.1.2.3 tcp:22: this port may not be probed",
            "only [limits] on the agent's machine permits more",
        ]
    );
    let many = (0..MAX_TARGETS).map(|host| (target(&format!("h{host}.example"), "https"), None)).collect();
    assert!(objections("", many)[0].contains("beyond 200 targets"));
}

#[test]
fn one_allowed_network_leaves_every_public_target_under_its_ceilings() {
    let ceilings = Ceilings { allow: vec!["10.0.0.0/8".parse().unwrap()], ..Ceilings::default() };
    let assigned = assignment(vec![
        (target("13.107.6.152", "https"), Some(1_000)),
        (target("outlook.office365.com", "https"), Some(1_000)),
        (target("13.107.6.152", "tcp:22"), None),
        (target("10.1.2.3", "icmp"), Some(20)),
        (target("10.1.2.3", "tcp:22"), Some(20)),
    ]);
    let in_the_file =
        [ScheduledTarget { target: target("13.107.6.152", "icmp"), interval: Duration::from_millis(20) }];
    let selection = select(&in_the_file, Some(&assigned), &[], &ceilings, 1, DIRECT);
    let seen: Vec<_> = selection
        .targets
        .iter()
        .map(|t| (t.target.address.as_str(), t.target.probe.to_string(), t.interval.as_millis()))
        .collect();
    let expected = [
        ("13.107.6.152", "icmp", 1_000),
        ("13.107.6.152", "https", 30_000),
        ("outlook.office365.com", "https", 30_000),
        ("10.1.2.3", "icmp", 20),
        ("10.1.2.3", "tcp:22", 20),
    ];
    assert_eq!(seen, expected.map(|(address, probe, every)| (address, probe.to_owned(), every)));
    assert!(selection.notes.iter().any(|note| note.contains("13.107.6.152 tcp:22")));
}

#[test]
fn built_in_targets_are_taken_only_when_there_are_no_others() {
    let builtin =
        [ScheduledTarget { target: target("m.example", "icmp"), interval: Duration::from_secs(10) }];
    assert_eq!(select(&[], None, &builtin, &Ceilings::default(), 2, DIRECT).targets, builtin);
    let assigned = assignment(vec![(target("a.example", "icmp"), None)]);
    let selection = select(&[], Some(&assigned), &builtin, &Ceilings::default(), 2, DIRECT);
    assert_eq!(selection.targets.len(), 1);
    assert_eq!(selection.targets[0].target.name, "a.example");
}

#[test]
fn an_address_has_one_family_and_a_name_has_both() {
    let scheduled =
        |address| ScheduledTarget { target: target(address, "icmp"), interval: Duration::from_secs(1) };
    let targets = [scheduled("192.0.2.1"), scheduled("2001:db8::1"), scheduled("a.example")];
    let entries = entries(&targets, Family::ALL, &Paths::default());
    let families: Vec<_> = entries.iter().map(|entry| entry.family).collect();
    assert_eq!(families, [Family::V4, Family::V6, Family::V4, Family::V6]);
}

#[test]
fn both_paths_are_two_entries_and_send_twice_as_many_packets() {
    let proxies = Proxies::new("http://proxy.test:3128".parse().unwrap(), Bypass::parse("b.example"));
    let paths = Paths { https: HttpsPaths::Both, proxies };
    let scheduled = ["a.example", "b.example", "192.0.2.1"].map(|address| ScheduledTarget {
        target: target(address, "https"),
        interval: Duration::from_mins(1),
    });
    let entries = entries(&scheduled, Family::ALL, &paths);
    let seen: Vec<_> = entries.iter().map(|e| (e.target.address.as_str(), e.path, e.family)).collect();
    let expected = [
        ("a.example", Path::Direct, Family::V4),
        ("a.example", Path::Direct, Family::V6),
        ("a.example", Path::Proxy, Family::V4),
        ("a.example", Path::Proxy, Family::V6),
        ("b.example", Path::Direct, Family::V4),
        ("b.example", Path::Direct, Family::V6),
        ("192.0.2.1", Path::Direct, Family::V4),
        // Whatever the target is, the proxy may be reached over either.
        ("192.0.2.1", Path::Proxy, Family::V4),
        ("192.0.2.1", Path::Proxy, Family::V6),
    ];
    assert_eq!(seen, expected);
    let rate = |https| Ceilings::default().packets_per_second(&scheduled, 1, https);
    assert!((rate(HttpsPaths::Both) - 2.0 * rate(HttpsPaths::Proxy)).abs() < 1e-9);
}

#[test]
fn intervals_are_as_the_rules_say() {
    let interval = |probe: &str| default_interval(&probe.parse().unwrap()).as_secs();
    assert_eq!((interval("icmp"), interval("tcp:443"), interval("https")), (10, 10, 60));
}
