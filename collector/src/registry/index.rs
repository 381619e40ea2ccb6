//! Registrations in memory: found by number, by site, by address and by whom a prefix touches, however many there are.
//! Pure; the registry keeps one beside its file for each organisation.

use super::{
    Registration, RegistrationId, Sight, names,
    prefixes::{self, Candidate, PrefixTable},
};
use crate::organisation::OrganisationId;
use hashbrown::HashMap;
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// Every registration of an organisation at one moment, ended ones too, in the order of their numbers; or those of one provider
/// alone. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Registrations {
    entries: Arc<Vec<Arc<Registration>>>,
    /// Whether there are others that are not to be seen.
    restricted: bool,
}

impl Registrations {
    /// In the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Registration> + Clone {
        self.after(None)
    }

    /// Those with a number above this one.
    pub fn after(&self, id: Option<RegistrationId>) -> impl Iterator<Item = &Registration> + Clone {
        let first = id.map_or(0, |id| self.entries.partition_point(|entry| entry.id <= id));
        self.entries.iter().skip(first).map(Arc::as_ref)
    }

    /// The one of this number.
    pub fn get(&self, id: RegistrationId) -> Option<&Registration> {
        self.position(id).ok().and_then(|at| self.entries.get(at)).map(Arc::as_ref)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those that one sees: all of them, or those of one provider.
    #[must_use]
    pub fn seen_by(&self, sight: &Sight) -> Self {
        let Some(provider) = &sight.provider else { return self.clone() };
        let own = self.entries.iter().filter(|entry| entry.provider == *provider).cloned().collect();
        Self { entries: Arc::new(own), restricted: true }
    }

    /// Whether there are others that are not to be seen: whatever is of no registration here is none of one's business.
    pub fn is_restricted(&self) -> bool {
        self.restricted
    }

    /// Whether what is of this registration is to be seen: it is here, or nothing is hidden.
    pub fn tells_of(&self, id: RegistrationId) -> bool {
        !self.restricted || self.get(id).is_some()
    }

    /// Where it stands, or would stand.
    fn position(&self, id: RegistrationId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id)
    }
}

impl FromIterator<Registration> for Registrations {
    fn from_iter<T: IntoIterator<Item = Registration>>(entries: T) -> Self {
        let mut entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
        entries.sort_by_key(|entry| entry.id);
        entries.dedup_by_key(|entry| entry.id);
        Self { entries: Arc::new(entries), restricted: false }
    }
}

/// An organisation's registrations with what finds them.
#[derive(Debug, Clone, Default)]
pub struct RegistrationIndex {
    registrations: Registrations,
    /// Numbers by folded site, in their order.
    sites: HashMap<String, BTreeSet<RegistrationId>>,
    prefixes: PrefixTable,
}

impl FromIterator<Registration> for RegistrationIndex {
    fn from_iter<T: IntoIterator<Item = Registration>>(entries: T) -> Self {
        let registrations = Registrations::from_iter(entries);
        let mut index = Self { prefixes: PrefixTable::new(registrations.iter()), ..Self::default() };
        for entry in registrations.iter() {
            index.sites.entry(names::fold(&entry.site)).or_default().insert(entry.id);
        }
        Self { registrations, ..index }
    }
}

impl RegistrationIndex {
    /// All of them.
    pub fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    /// Adds a registration, or replaces the one of its number.
    pub fn put(&mut self, registration: Registration) {
        let position = self.registrations.position(registration.id);
        if let Some(before) = self.registrations.get(registration.id) {
            self.prefixes.remove(before);
            if let Some(ids) = self.sites.get_mut(&names::fold(&before.site)) {
                ids.remove(&before.id);
            }
        }
        self.prefixes.insert(&registration);
        self.sites.entry(names::fold(&registration.site)).or_default().insert(registration.id);
        // Whoever reads an older moment keeps it; then this copies pointers.
        let entries = Arc::make_mut(&mut self.registrations.entries);
        match position {
            Ok(at) => entries[at] = Arc::new(registration),
            Err(at) => entries.insert(at, Arc::new(registration)),
        }
    }

    /// The registrations of a site without regard to case, in the order of their numbers.
    pub fn of_site(&self, site: &str) -> impl Iterator<Item = &Registration> {
        let ids = self.sites.get(&names::fold(site));
        ids.into_iter().flatten().filter_map(|id| self.registrations.get(*id))
    }

    /// The registration whose prefix matches an address longest of those that are valid at `at`, and that prefix.
    pub fn owner(&self, address: IpAddr, at: Timestamp) -> Option<(IpNet, RegistrationId)> {
        self.prefixes.longest_match(address, at)
    }

    /// Every registration that shares an address with one of the prefixes, whenever it is valid, in the order of numbers.
    pub fn touching(&self, prefixes: &[IpNet]) -> impl Iterator<Item = &Registration> {
        let ids: BTreeSet<RegistrationId> =
            prefixes.iter().flat_map(|prefix| self.prefixes.touching(prefix)).collect();
        ids.into_iter().filter_map(|id| self.registrations.get(id))
    }

    /// Why the candidate cannot stand beside the registrations that are there: every reason of prefixes, then of sites.
    pub fn conflicts(&self, candidate: &Candidate<'_>) -> Vec<String> {
        let mut reasons = prefixes::conflicts(candidate, self.touching(candidate.prefixes));
        reasons.extend(taken_site(candidate, self.of_site(candidate.site)));
        reasons
    }
}

/// An index for each organisation.
pub(super) fn by_organisation(
    registrations: impl IntoIterator<Item = Registration>,
) -> HashMap<OrganisationId, RegistrationIndex> {
    let mut lists: HashMap<OrganisationId, Vec<Registration>> = HashMap::new();
    for registration in registrations {
        lists.entry(registration.organisation).or_default().push(registration);
    }
    lists.into_iter().map(|(organisation, list)| (organisation, list.into_iter().collect())).collect()
}

/// A site is one registration at a time.
fn taken_site<'a>(
    candidate: &Candidate<'_>,
    of_the_site: impl IntoIterator<Item = &'a Registration>,
) -> Option<String> {
    let other = of_the_site.into_iter().find(|other| candidate.validity.meets(&other.validity()))?;
    Some(format!(
        "the site `{}` is already registered through {} (registration {}); end that first",
        other.site, other.provider, other.id.0
    ))
}

#[cfg(test)]
mod tests;
