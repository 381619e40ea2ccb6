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
    ceilings::{is_public_unicast, shortest_interval},
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
    /// Why this machine does not take an assignment; nothing if it fits under the ceilings, beside the configured targets.
    pub fn objections(&self, assignment: &Assignment) -> Vec<String> {
        let (ceilings, families) = (&self.ceilings, self.families.iter().map(Vec::len).sum());
        let notes = |assignment| {
            select(&self.configured, assignment, &[], ceilings, families, self.paths.https).notes
        };
        // What is wrong with the file's own targets is no fault of the assignment.
        let own = notes(None);
        let beyond = notes(Some(assignment)).into_iter().filter(|note| !own.contains(note));
        let private = assignment.targets.iter().filter_map(|assigned| {
            let Target { address, probe, .. } = &assigned.target;
            let ip = address.ip().filter(|ip| !is_public_unicast(*ip) && !ceilings.allows(*ip))?;
            Some(format!("{address} {probe}: {ip} is not a public unicast address"))
        });
        let mut objections: Vec<String> = private.chain(beyond).collect();
        if !objections.is_empty() {
            objections.push("only [limits] on the agent's machine permits more".to_owned());
        }
        objections
    }

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
mod tests;
