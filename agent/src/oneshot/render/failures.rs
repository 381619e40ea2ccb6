//! What went wrong, in lines that say each cause once, and what to check when nothing came back.

use crate::oneshot::{
    tally::{Row, Tally},
    targets::Subject,
};
use peerlight_proto::series::Family;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A cause of failed probes of one target over one family.
#[derive(Debug, Serialize)]
pub(super) struct Failure<'a> {
    target: &'a str,
    family: &'static str,
    cause: &'a str,
    count: u64,
}

/// All causes, target by target: for programs.
pub(super) fn each<'a>(subjects: &'a [Subject], tally: &'a Tally) -> Vec<Failure<'a>> {
    let failure = |(subject, family, cause, count): (usize, Family, &'a str, u64)| Failure {
        target: &subjects[subject].text,
        family: family.as_str(),
        cause,
        count,
    };
    tally.errors().map(failure).collect()
}

/// All causes, each once for a host, and the other endings that the table has no column for: for people.
pub(super) fn lines(subjects: &[Subject], tally: &Tally) -> Vec<String> {
    let mut lines = endings(subjects, tally);
    lines.extend(causes(subjects, tally));
    match tally.strays() {
        (0, 0) => {}
        (duplicate, foreign) => lines.push(format!("{duplicate} duplicate and {foreign} foreign replies")),
    }
    lines
}

fn endings(subjects: &[Subject], tally: &Tally) -> Vec<String> {
    let explained: BTreeSet<_> = tally.errors().map(|(subject, family, ..)| (subject, family)).collect();
    let mut lines = Vec::new();
    for (key, Row { counters, .. }) in tally.rows() {
        // The cause says it better than the count of probes that were never sent.
        if counters.sent() == 0 && explained.contains(&(key.subject, key.family)) {
            continue;
        }
        let named = [
            ("late", counters.late),
            ("retransmitted", counters.retransmitted),
            ("DNS failed", counters.dns_failed),
            ("send failed", counters.send_failed),
            ("voided", counters.voided),
            ("skipped", counters.skipped),
        ];
        let counted = named.iter().filter(|(_, count)| *count > 0);
        let counted: Vec<String> = counted.map(|(name, count)| format!("{count} {name}")).collect();
        if !counted.is_empty() {
            let text = &subjects[key.subject].text;
            lines.push(format!("{text} {} {}: {}", key.metric, key.family, counted.join(", ")));
        }
    }
    lines
}

/// Which targets of a host failed by one cause, over which families, and how often.
#[derive(Default)]
struct Group<'a> {
    targets: BTreeSet<&'a str>,
    families: BTreeSet<Family>,
    count: u64,
}

fn causes(subjects: &[Subject], tally: &Tally) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), Group<'_>> = BTreeMap::new();
    for (subject, family, cause, count) in tally.errors() {
        let Subject { text, target } = &subjects[subject];
        let group = groups.entry((target.address.as_str(), cause)).or_default();
        group.targets.insert(text);
        group.families.insert(family);
        group.count += count;
    }
    let line = |((host, cause), group): ((&str, &str), Group<'_>)| {
        let whose = match group.targets.first() {
            Some(only) if group.targets.len() == 1 => only,
            _ => host,
        };
        let family = match group.families.first() {
            Some(only) if group.families.len() == 1 => format!(" {only}"),
            _ => String::new(),
        };
        format!("{whose}{family}: {} × {cause}", group.count)
    };
    groups.into_iter().map(line).collect()
}

/// What to check if no probe was answered; none if one was.
pub(super) fn advice(tally: &Tally) -> Option<&'static str> {
    if tally.answered() {
        return None;
    }
    let any = |count: fn(&Row) -> u64| tally.rows().any(|(_, row)| count(row) > 0);
    Some(if any(|row| row.counters.sent()) {
        "nothing answered; check that the target is up, and that no firewall between here and there drops probes"
    } else if any(|row| row.counters.dns_failed) {
        "nothing was sent, for no name could be resolved; check its spelling, and that this machine's DNS servers answer \
         (--dns-server ADDR asks another)"
    } else if any(|row| row.counters.send_failed) {
        "nothing could be sent; check this machine's addresses and routes, and --source or --interface if it was given"
    } else {
        "nothing was measured; check --family: no target has an address of a family that this machine has"
    })
}
