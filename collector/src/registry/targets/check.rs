//! Checks of targets before they are assigned. Pure but for what is registered.

use super::{NewTarget, TargetEntry};
use crate::{
    organisation::OrganisationId,
    registry::{Fault, locations, names, providers, tags},
};
use peerlight_proto::{
    limits::MAX_TARGET_TEXT_BYTES,
    target::{Host, ParseHostError, ProbeKind, Target},
};
use rusqlite::Connection;

/// The most targets that an agent takes (rules, §9).
const MAX_TARGETS: usize = 200;
/// The shortest and the longest time between two probes. Agents have floors of their own that no assignment can lower.
const INTERVALS_MS: std::ops::RangeInclusive<u32> = 100..=3_600_000;

/// Targets that passed every check, with the numbers of their scope.
pub(super) struct Checked {
    pub(super) targets: Vec<Target>,
    pub(super) provider: Option<(i64, String)>,
    pub(super) location: Option<(i64, String)>,
    pub(super) tag: Option<String>,
}

/// Everything about `new`, which is to stand beside `there`.
pub(super) fn check(
    connection: &Connection,
    new: &NewTarget,
    organisation: OrganisationId,
    there: &[TargetEntry],
) -> Result<Checked, Fault> {
    let mut errors = Vec::new();
    let targets = check_texts(new, &mut errors);
    let known_providers = providers::present(connection, organisation)?;
    let provider = new.provider.as_ref().and_then(|name| match providers::named(&known_providers, name) {
        Ok(provider) => Some((provider.id, provider.name.clone())),
        Err(error) => {
            errors.push(error);
            None
        }
    });
    let known_locations = locations::present(connection, organisation)?;
    let location = new.location.as_ref().and_then(|code| match locations::coded(&known_locations, code) {
        Ok(location) => Some((location.id, location.code.clone())),
        Err(error) => {
            errors.push(error);
            None
        }
    });
    if let Some(interval) = new.interval_ms.filter(|interval| !INTERVALS_MS.contains(interval)) {
        errors.push(format!("an interval of {interval} ms is not between 100 ms and an hour"));
    }
    let tag = new.tag.as_ref().map(|tag| tags::check(tag, &mut errors));
    let checked = Checked { targets, provider, location, tag };
    check_against(&checked, there, &mut errors);
    if errors.is_empty() { Ok(checked) } else { Err(Fault::invalid("target", errors)) }
}

fn check_texts(new: &NewTarget, errors: &mut Vec<String>) -> Vec<Target> {
    let name = names::check("name", &new.name, errors);
    let service =
        if new.service.is_empty() { String::new() } else { names::check("service", &new.service, errors) };
    let address = new
        .address
        .trim()
        .parse::<Host>()
        .map_err(|error: ParseHostError| errors.push(error.to_string()))
        .ok();
    if new.probes.is_empty() {
        errors.push("a target needs at least one probe: icmp, tcp:PORT, https, dns or udp:PORT".to_owned());
    }
    let mut targets: Vec<Target> = Vec::new();
    for text in &new.probes {
        let probe = match text.parse::<ProbeKind>() {
            Ok(probe) => probe,
            Err(error) => {
                errors.push(error.to_string());
                continue;
            }
        };
        if targets.iter().any(|target| target.probe == probe) {
            errors.push(format!("the probe {probe} is given twice"));
        } else if text.len() + new.address.len() > MAX_TARGET_TEXT_BYTES {
            errors.push(format!("address and probe are longer than {MAX_TARGET_TEXT_BYTES} bytes"));
        } else if let Some(address) = &address {
            let (name, service, address) = (name.clone(), service.clone(), address.clone());
            targets.push(Target { name, service, address, probe });
        }
    }
    targets
}

/// No target twice in one scope, and no agent with more than it takes.
fn check_against(checked: &Checked, there: &[TargetEntry], errors: &mut Vec<String>) {
    let provider = checked.provider.as_ref().map(|(_, name)| name);
    let location = checked.location.as_ref().map(|(_, code)| code);
    let tag = checked.tag.as_ref();
    for target in &checked.targets {
        let same = there.iter().find(|entry| {
            entry.target_id == target.id()
                && entry.provider.as_ref() == provider
                && entry.location.as_ref() == location
                && entry.tag.as_ref() == tag
        });
        if let Some(entry) = same {
            errors.push(format!(
                "{} of {} is already assigned as `{}` (target {})",
                target.probe, target.address, entry.name, entry.id
            ));
        }
    }
    let may_meet = |a: Option<&String>, b: Option<&String>| a.is_none() || b.is_none() || a == b;
    let beside = there
        .iter()
        .filter(|entry| {
            may_meet(entry.provider.as_ref(), provider)
                && may_meet(entry.location.as_ref(), location)
                // Who has both tags has to take both, and refuses them if they are too many together.
                && may_meet(entry.tag.as_ref(), tag)
        })
        .count();
    if beside + checked.targets.len() > MAX_TARGETS {
        errors.push(format!(
            "an agent takes at most {MAX_TARGETS} targets, and {beside} are assigned; remove some"
        ));
    }
}
