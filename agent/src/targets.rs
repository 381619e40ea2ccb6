//! What is measured: the configured targets, those that the collector assigns, and the ceilings over both. Pure.

use crate::{
    probe,
    proxy::{HttpsPaths, Paths},
    schedule::Entry,
    uplink::UplinkNumber,
};
use ipnet::IpNet;
use peerlight_proto::{
    assignment::Assignment,
    ceilings::shortest_interval,
    series::{Family, Path},
    target::{Host, ProbeKind, Target},
};
use std::{collections::HashSet, net::IpAddr, time::Duration};

/// The most targets of an agent; each probe of an address is one.
pub const MAX_TARGETS: usize = 200;
/// The shortest interval in networks that the machine's owner allowed.
const SHORTEST_ALLOWED: Duration = Duration::from_millis(10);

/// A target and how often it is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledTarget {
    /// The target.
    pub target: Target,
    /// The time between two probes.
    pub interval: Duration,
}

/// How often a kind of probe is sent unless told otherwise.
pub const fn default_interval(probe: &ProbeKind) -> Duration {
    match probe {
        ProbeKind::Icmp | ProbeKind::Tcp { .. } | ProbeKind::Udp { .. } => Duration::from_secs(10),
        ProbeKind::Https { .. } | ProbeKind::Dns => Duration::from_mins(1),
    }
}

/// What neither the configuration nor an assignment can exceed (rules, §9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceilings {
    /// Networks of this machine's owner: the ceilings are widened there, and only there.
    pub allow: Vec<IpNet>,
    /// About how many packets all probes together may send.
    pub max_packets_per_second: u32,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self { allow: Vec::new(), max_packets_per_second: Self::DEFAULT_PACKETS_PER_SECOND }
    }
}

impl Ceilings {
    /// Packets a second unless told otherwise.
    pub const DEFAULT_PACKETS_PER_SECOND: u32 = 500;
    /// The most packets a second that a configuration may say, unless networks are allowed.
    pub const MAX_PACKETS_PER_SECOND: u32 = 2_000;

    /// Whether the owner allowed networks, and with them shorter intervals and any port there.
    pub fn widened(&self) -> bool {
        !self.allow.is_empty()
    }

    /// The shortest interval for a probe of `address`, if it is in the file rather than in an assignment. A name's is
    /// short if it may lead into an allowed network; where it does not, the probe itself keeps to the ceiling.
    pub fn shortest_interval(&self, address: &Host, probe: &ProbeKind) -> Duration {
        match address.ip() {
            Some(ip) if self.allows(ip) => SHORTEST_ALLOWED,
            None if self.widened() => SHORTEST_ALLOWED,
            Some(_) | None => shortest_interval(probe),
        }
    }

    /// Whether a port may be probed; where a name leads is checked after each resolution.
    pub fn may_reach(&self, address: &Host, port: u16) -> bool {
        address.ip().map_or(self.widened(), |ip| self.allows(ip))
            || probe::Ceilings::check_port(Some(port)).is_ok()
    }

    fn allows(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&ip))
    }

    /// About how many packets a second these targets send at most, over so many families and by these paths.
    pub fn packets_per_second(&self, targets: &[ScheduledTarget], families: usize, https: HttpsPaths) -> f64 {
        let families = u32::try_from(families).unwrap_or(u32::MAX);
        targets.iter().map(|target| packets_per_second(target, https)).sum::<f64>() * f64::from(families)
    }
}

fn packets_per_second(target: &ScheduledTarget, https: HttpsPaths) -> f64 {
    let packets = match target.target.probe {
        ProbeKind::Icmp | ProbeKind::Udp { .. } => 1.0,
        ProbeKind::Dns => 2.0,
        ProbeKind::Tcp { .. } => 3.0,
        ProbeKind::Https { .. } => 12.0,
    };
    packets * f64::from(https.most(&target.target.probe)) / target.interval.as_secs_f64().max(0.001)
}

/// What is measured, and what of an assignment was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The targets.
    pub targets: Vec<ScheduledTarget>,
    /// What was left out or slowed down, for the log and the status.
    pub notes: Vec<String>,
}

impl Selection {
    /// Names are looked up by the system's way, which is no uplink's.
    fn leave_lookups_out(&mut self) {
        let lookups = self.targets.extract_if(.., |scheduled| scheduled.target.probe == ProbeKind::Dns);
        let note = |scheduled: ScheduledTarget| {
            format!("{} dns: lookups go the system's way, over none of the uplinks", scheduled.target.address)
        };
        self.notes.extend(lookups.map(note));
    }
}

/// Configured targets, then assigned ones, each once, under the ceilings. `builtin` are taken when there is neither.
pub fn select(
    configured: &[ScheduledTarget],
    assignment: Option<&Assignment>,
    builtin: &[ScheduledTarget],
    ceilings: &Ceilings,
    families: usize,
    https: HttpsPaths,
) -> Selection {
    let mut selection = Selection::default();
    let floor = |target: &Target| ceilings.shortest_interval(&target.address, &target.probe);
    let mut wanted: Vec<_> =
        configured.iter().map(|scheduled| (scheduled.clone(), floor(&scheduled.target))).collect();
    for assigned in assignment.iter().flat_map(|assignment| &assignment.targets) {
        let interval = assigned
            .interval_ms
            .map_or(default_interval(&assigned.target.probe), |ms| Duration::from_millis(ms.into()));
        let target = assigned.target.clone();
        // What the collector names is public until its address says otherwise.
        let named = target.address.ip().is_none();
        let floor = if named { shortest_interval(&target.probe) } else { floor(&target) };
        wanted.push((ScheduledTarget { target, interval }, floor));
    }
    if wanted.is_empty() {
        wanted.extend(builtin.iter().map(|scheduled| (scheduled.clone(), floor(&scheduled.target))));
    }
    let (mut known, mut rate) = (HashSet::new(), 0.0);
    for (mut scheduled, shortest) in wanted {
        let probe = &scheduled.target.probe;
        let name = format!("{} {probe}", scheduled.target.address);
        if !known.insert(scheduled.target.id()) {
            continue;
        }
        if scheduled.interval < shortest {
            selection.notes.push(format!("{name}: probed every {shortest:?} at most"));
            scheduled.interval = shortest;
        }
        let families = f64::from(u32::try_from(families).unwrap_or(u32::MAX));
        let more = packets_per_second(&scheduled, https) * families;
        if probe.port().is_some_and(|port| !ceilings.may_reach(&scheduled.target.address, port)) {
            selection.notes.push(format!("{name}: this port may not be probed"));
        } else if selection.targets.len() == MAX_TARGETS {
            selection.notes.push(format!("{name}: beyond {MAX_TARGETS} targets"));
        } else if rate + more > f64::from(ceilings.max_packets_per_second) {
            selection.notes.push(format!("{name}: too many packets a second"));
        } else {
            rate += more;
            selection.targets.push(scheduled);
        }
    }
    selection
}

/// Chooses what is measured, whatever the collector assigns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// The targets of the configuration.
    pub configured: Vec<ScheduledTarget>,
    /// The targets that are taken when there are no others.
    pub builtin: Vec<ScheduledTarget>,
    /// What cannot be exceeded.
    pub ceilings: Ceilings,
    /// The families that are probed over each uplink.
    pub families: Vec<Vec<Family>>,
    /// By which paths HTTPS targets are probed.
    pub paths: Paths,
}

impl Selector {
    /// The schedule's entries under this assignment, and what was left out or slowed down, which is logged, too.
    pub fn entries(&self, assignment: Option<&Assignment>) -> (Vec<Entry>, Vec<String>) {
        let (ceilings, families) = (&self.ceilings, self.families.iter().map(Vec::len).sum());
        let mut selection =
            select(&self.configured, assignment, &self.builtin, ceilings, families, self.paths.https);
        if self.families.len() > 1 {
            selection.leave_lookups_out();
        }
        for note in &selection.notes {
            tracing::warn!(note, "a target is not probed, or not as asked");
        }
        let over = |(uplink, families): (UplinkNumber, &Vec<Family>)| {
            let entries = entries(&selection.targets, families, &self.paths);
            entries.into_iter().map(move |entry| entry.over(uplink))
        };
        let uplinks = UplinkNumber::first(self.families.len()).zip(&self.families);
        (uplinks.flat_map(over).collect(), selection.notes)
    }
}

/// The schedule's entries: each target over each family and by each of its paths. A target that is an address has one
/// family; through a proxy the family is that of the way to the proxy.
pub fn entries(targets: &[ScheduledTarget], families: &[Family], paths: &Paths) -> Vec<Entry> {
    let mut entries = Vec::new();
    for scheduled in targets {
        for &path in paths.of(&scheduled.target) {
            let only = scheduled.target.address.ip().map(Family::of).filter(|_| path == Path::Direct);
            for &family in families.iter().filter(|family| only.is_none_or(|only| only == **family)) {
                entries.push(Entry::new(scheduled.target.clone(), family, scheduled.interval).by(path));
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
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
        Assignment { version: "1".to_owned(), targets: targets.into_iter().map(assigned).collect() }
    }

    #[test]
    fn an_assignment_adds_to_the_configuration_and_one_id_is_one_target() {
        let configured =
            [ScheduledTarget { target: target("a.example", "icmp"), interval: Duration::from_secs(7) }];
        let assigned = assignment(vec![
            (target("a.example", "icmp"), Some(5_000)),
            (target("b.example", "https"), None),
        ]);
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
}
