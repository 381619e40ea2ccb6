//! Whose a measurement is: the registration of the site that measured it, at the time at which it did. Pure.

use super::caller::Caller;
use crate::registry::Registration;
use ipnet::IpNet;
use peerlight_proto::{measurement::Measurement, time::Timestamp};
use std::{cmp::Reverse, net::IpAddr, time::Duration};

/// For how long an agent's uplinks wait for one of them to be registered again.
const PATIENCE: Duration = Duration::from_hours(1);

/// Why there is no registration for a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unregistered {
    /// It names an uplink that the agent never enrolled for.
    Foreign,
    /// No registration covers it yet: one may, once the site is registered again.
    NotCovered,
    /// The same of one of several uplinks, whose registration ended so long ago that the others shall not wait for it.
    Retired,
}

/// When something was measured, and from which public address, where that was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occasion {
    /// Its start.
    pub(super) start: Timestamp,
    /// Its end.
    pub(super) end: Timestamp,
    /// The address.
    pub(super) observed: Option<IpAddr>,
}

impl From<&Measurement> for Occasion {
    fn from(measurement: &Measurement) -> Self {
        Self {
            start: measurement.interval.start(),
            end: measurement.interval.end(),
            observed: measurement.observed.map(|observed| observed.address),
        }
    }
}

/// The registration that a measurement of `uplink` counts for: of those of the site that the uplink names, else of the
/// site that the agent is enrolled for now. What lies before a site's first registration, or between two, counts for
/// the next one once that has begun (ARCHITECTURE.md, "An agent speaks for its site").
pub(super) fn choose<'a>(
    caller: &'a Caller,
    uplink: &str,
    occasion: Occasion,
    now: Timestamp,
) -> Result<&'a Registration, Unregistered> {
    let known = || std::iter::once(&caller.registration).chain(&caller.others);
    // What an agent measured before it enrolled, and without a `[site]`, names no uplink.
    let named = || known().filter(|one| uplink.is_empty() || one.is_site(uplink));
    if named().next().is_none() {
        return Err(Unregistered::Foreign);
    }
    if caller.measures_beside(uplink) {
        let chosen = covering(named(), occasion).or_else(|| following(named(), occasion, now));
        return chosen.ok_or_else(|| without_any(named(), now));
    }
    let present = || known().filter(|one| one.is_site(&caller.registration.site));
    covering(named(), occasion)
        .or_else(|| following(named(), occasion, now))
        .or_else(|| covering(present(), occasion))
        .or_else(|| following(present(), occasion, now))
        .ok_or(Unregistered::NotCovered)
}

/// Why none of an uplink's registrations will do.
fn without_any<'a>(
    mut registrations: impl Iterator<Item = &'a Registration>,
    now: Timestamp,
) -> Unregistered {
    let is_about_now = |one: &Registration| {
        one.valid_from <= now.plus(PATIENCE) && one.valid_to.is_none_or(|end| now < end.plus(PATIENCE))
    };
    if registrations.any(is_about_now) { Unregistered::NotCovered } else { Unregistered::Retired }
}

/// Of those that cover any of the interval: the one of the observed address, else the one in which the interval began.
fn covering<'a>(
    registrations: impl Iterator<Item = &'a Registration>,
    Occasion { start, end, observed }: Occasion,
) -> Option<&'a Registration> {
    registrations
        .filter(|one| one.valid_from < end && one.valid_to.is_none_or(|valid_to| start < valid_to))
        .min_by_key(|one| {
            (Reverse(prefix_of(one, observed).is_some()), Reverse(one.validity().contains(start)))
        })
}

/// The first that begins after the interval, and has begun by now.
fn following<'a>(
    registrations: impl Iterator<Item = &'a Registration>,
    occasion: Occasion,
    now: Timestamp,
) -> Option<&'a Registration> {
    registrations
        .filter(|one| occasion.end <= one.valid_from && one.valid_from <= now)
        .filter(|one| one.valid_to.is_none_or(|end| one.valid_from < end))
        .min_by_key(|one| one.valid_from)
}

/// The longest prefix of the registration that the observed address lies in.
pub(super) fn prefix_of(registration: &Registration, observed: Option<IpAddr>) -> Option<IpNet> {
    let address = observed?.to_canonical();
    registration
        .prefixes
        .iter()
        .filter(|prefix| prefix.contains(&address))
        .max_by_key(|prefix| prefix.prefix_len())
        .copied()
}

#[cfg(test)]
mod tests;
