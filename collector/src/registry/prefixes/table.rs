//! Prefixes in a trie: whose an address is, and whom a prefix touches, without a scan of everybody's.

use super::{Registration, Validity};
use crate::registry::RegistrationId;
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;
use prefix_trie::joint::JointPrefixMap;
use std::net::IpAddr;

/// Registrations by prefix.
#[derive(Debug, Clone, Default)]
pub struct PrefixTable {
    map: JointPrefixMap<IpNet, Vec<(Validity, RegistrationId)>>,
}

impl PrefixTable {
    /// The table of these registrations.
    pub fn new<'a>(registrations: impl IntoIterator<Item = &'a Registration>) -> Self {
        let mut table = Self::default();
        for registration in registrations {
            table.insert(registration);
        }
        table
    }

    /// Adds a registration that is not there.
    pub fn insert(&mut self, registration: &Registration) {
        let entry = (registration.validity(), registration.id);
        for prefix in &registration.prefixes {
            match self.map.get_mut(prefix) {
                Some(entries) => entries.push(entry),
                None => {
                    self.map.insert(*prefix, vec![entry]);
                }
            }
        }
    }

    /// Takes a registration out.
    pub fn remove(&mut self, registration: &Registration) {
        for prefix in &registration.prefixes {
            if let Some(entries) = self.map.get_mut(prefix) {
                entries.retain(|(_, id)| *id != registration.id);
                if entries.is_empty() {
                    self.map.remove(prefix);
                }
            }
        }
    }

    /// The registration whose prefix matches longest of those that are valid at `at`, and that prefix.
    pub fn longest_match(&self, address: IpAddr, at: Timestamp) -> Option<(IpNet, RegistrationId)> {
        let valid = |entries: &Vec<(Validity, RegistrationId)>| {
            entries.iter().find(|(validity, _)| validity.contains(at)).map(|(_, id)| *id)
        };
        // From the shortest to the longest.
        let around = self.map.cover(&IpNet::from(address));
        around.filter_map(|(prefix, entries)| Some((prefix, valid(entries)?))).last()
    }

    /// Every registration that shares an address with `prefix`, whenever it is valid: in no order, some more than once.
    pub fn touching(&self, prefix: &IpNet) -> impl Iterator<Item = RegistrationId> {
        let (around, within) = (self.map.cover(prefix), self.map.children(prefix));
        around.chain(within).flat_map(|(_, entries)| entries.iter().map(|(_, id)| *id))
    }
}
