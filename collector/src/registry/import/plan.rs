//! What an import would do: every row of the file against what is registered and against the rows before it. Pure.

use super::{
    Present,
    faults::Faults,
    file::{Line, Lines},
    occupied::{Occupied, TooNested},
};
use crate::{
    organisation::OrganisationId,
    registry::{
        Location, NewRegistration, Provider, Registration, RegistrationId, locations, names,
        prefixes::{Candidate, Validity},
        providers,
        registrations::{Checked, check_prefixes, check_validity},
    },
};
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The registrations to add, in the order of their lines.
    pub(super) add: Vec<Checked>,
    /// How many rows say what is registered already.
    pub(super) unchanged: usize,
}

/// What the file asks for, or everything that is wrong with it.
pub(super) fn plan(
    lines: Lines<'_>,
    present: &Present,
    organisation: OrganisationId,
    now: Timestamp,
) -> Result<Plan, Faults> {
    let mut planner = Planner::new(present, organisation, now);
    for line in lines {
        if let Err(TooNested) = planner.line(line) {
            break;
        }
    }
    if planner.faults.is_empty() { Ok(planner.plan) } else { Err(planner.faults) }
}

struct Planner<'a> {
    present: &'a Present,
    organisation: OrganisationId,
    now: Timestamp,
    /// By their folded names and aliases.
    providers: HashMap<String, &'a Provider>,
    locations: HashMap<&'a str, &'a Location>,
    occupied: Occupied<'a>,
    /// The line that said the same as a registration.
    said: HashMap<RegistrationId, u64>,
    plan: Plan,
    faults: Faults,
}

/// A row whose words were understood, as far as they were.
struct Understood<'a> {
    new: NewRegistration,
    site: String,
    provider: Option<&'a Provider>,
    location: Option<&'a Location>,
    prefixes: Vec<IpNet>,
    validity: Validity,
}

impl<'a> Planner<'a> {
    fn new(present: &'a Present, organisation: OrganisationId, now: Timestamp) -> Self {
        let called = |provider: &'a Provider| {
            std::iter::once(&provider.name)
                .chain(&provider.aliases)
                .map(move |name| (names::fold(name), provider))
        };
        Self {
            present,
            organisation,
            now,
            providers: present.providers.iter().flat_map(called).collect(),
            locations: present.locations.iter().map(|location| (location.code.as_str(), location)).collect(),
            occupied: Occupied::by(&present.registrations),
            said: HashMap::new(),
            plan: Plan::default(),
            faults: Faults::default(),
        }
    }

    fn line(&mut self, line: Line) -> Result<(), TooNested> {
        let new = match line.row {
            Ok(new) => new,
            Err(faults) => {
                self.faults.add(line.number, faults);
                return Ok(());
            }
        };
        let mut faults = Vec::new();
        let row = self.understand(new, &mut faults);
        if let Some(there) = self.same(&row) {
            if let Some(before) = self.said.insert(there, line.number) {
                self.faults.add(line.number, [format!("it says the same as line {before}")]);
            }
            self.plan.unchanged += 1;
            return Ok(());
        }
        let candidate = Candidate {
            site: &row.site,
            provider: row.provider.map_or(row.new.provider.as_str(), |provider| provider.name.as_str()),
            prefixes: &row.prefixes,
            validity: row.validity,
            nested: row.new.nested,
        };
        let conflicts = self.occupied.conflicts(&candidate).inspect_err(|error| {
            self.faults.add(line.number, [error.to_string()]);
        })?;
        if conflicts.is_empty() {
            self.occupied.take(line.number, &candidate);
        }
        faults.extend(conflicts);
        match (row.provider, row.location) {
            (Some(provider), Some(location)) if faults.is_empty() && self.faults.is_empty() => {
                self.plan.add.push(row.checked(provider, location, self.organisation));
            }
            _ => self.faults.add(line.number, faults),
        }
        Ok(())
    }

    /// Takes a row's words for what they mean; what they do not mean goes to `faults`.
    fn understand(&self, new: NewRegistration, faults: &mut Vec<String>) -> Understood<'a> {
        let site = self.occupied.spelling(names::check("site", &new.site, faults));
        let provider = self.providers.get(&names::fold(&new.provider)).copied();
        if provider.is_none() {
            faults.extend(self.hint(|| providers::named(&self.present.providers, &new.provider).err()));
        }
        let location = self.locations.get(locations::canonical(&new.location).as_str()).copied();
        if location.is_none() {
            faults.extend(self.hint(|| locations::coded(&self.present.locations, &new.location).err()));
        }
        let prefixes = check_prefixes(&new, faults);
        let validity = check_validity(&new, self.now, faults);
        Understood { new, site, provider, location, prefixes, validity }
    }

    /// What to write instead costs a look at every name, which is worth it only where it will be told.
    fn hint(&self, fault: impl FnOnce() -> Option<String>) -> Option<String> {
        if self.faults.is_full() { Some(String::new()) } else { fault() }
    }

    /// The registration that a row says once more. A row that does not say when it begins means one that is valid now.
    fn same(&self, row: &Understood<'_>) -> Option<RegistrationId> {
        let (provider, location) = (row.provider?, row.location?);
        let prefixes: BTreeSet<&IpNet> = row.prefixes.iter().collect();
        let says = |there: &Registration| {
            let begins = match row.new.valid_from {
                Some(_) => there.valid_from == row.validity.from,
                None => there.validity().contains(self.now),
            };
            begins
                && there.valid_to == row.validity.to
                && there.provider == provider.name
                && there.location == location.code
                && there.count_declared == row.new.count_declared
                && there.prefixes.len() == prefixes.len()
                && there.prefixes.iter().all(|prefix| prefixes.contains(prefix))
        };
        self.occupied.of_site(&row.site).find(|there| says(there)).map(|there| there.id)
    }
}

impl Understood<'_> {
    fn checked(self, provider: &Provider, location: &Location, organisation: OrganisationId) -> Checked {
        Checked {
            registration: Registration {
                id: RegistrationId(0),
                organisation,
                site: self.site,
                provider: provider.name.clone(),
                location: location.code.clone(),
                prefixes: self.prefixes,
                count_declared: self.new.count_declared,
                valid_from: self.validity.from,
                valid_to: self.validity.to,
            },
            provider: provider.id,
            location: location.id,
            allow_non_public: self.new.allow_non_public,
            nested: self.new.nested,
        }
    }
}

#[cfg(test)]
mod tests;
