//! The directory: Microsoft's published partners as this build knows them, each with the date of its source.

use super::{NewProvider, ProviderKind, names};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// The first list is the seed of 2019-09-25; later names bear their own date.
const TEXT: &str = include_str!("directory-2019-09-25.json");

/// A partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryEntry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
    /// When Microsoft listed it: a date, or a month where the day is not known.
    pub listed: String,
    /// The countries that it was listed for, as ISO 3166-1 alpha-2; empty where none was said.
    #[serde(default)]
    pub countries: Vec<String>,
    /// The region that it was listed for, where that is not a country.
    #[serde(default)]
    pub region: Option<String>,
    /// Other names that mean it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Its autonomous systems, where the source names them.
    #[serde(default)]
    pub asns: Vec<u32>,
    /// Where it peered in a later list.
    #[serde(default)]
    pub peering: Option<Peering>,
}

/// The cities where a partner peered with Microsoft at some date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peering {
    /// When that was listed.
    pub listed: String,
    /// The cities.
    pub cities: Vec<String>,
}

impl DirectoryEntry {
    /// The provider that it becomes in the registry.
    pub fn to_provider(&self) -> NewProvider {
        NewProvider {
            name: self.name.clone(),
            kind: self.kind,
            countries: self.countries.clone(),
            aliases: self.aliases.clone(),
            asns: self.asns.clone(),
            source: Some(format!("directory {}", self.listed)),
        }
    }
}

static ENTRIES: LazyLock<Vec<DirectoryEntry>> =
    // A test reads the file, so that no build that passed it ships one that does not parse.
    LazyLock::new(|| serde_json::from_str(TEXT).unwrap_or_default());

/// Every partner: first the seed, then the later ones.
pub fn directory() -> &'static [DirectoryEntry] {
    &ENTRIES
}

/// The partner of this name or alias, or what to say instead.
pub fn directory_entry(name: &str) -> Result<&'static DirectoryEntry, String> {
    let folded = names::fold(name);
    directory()
        .iter()
        .find(|entry| {
            names::fold(&entry.name) == folded
                || entry.aliases.iter().any(|alias| names::fold(alias) == folded)
        })
        .ok_or_else(|| {
            let hint = names::suggest(name, directory().iter().map(|entry| entry.name.as_str()));
            format!("the directory has no `{name}`{hint}; `peerlight-collector provider directory` lists it")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_holds_the_seed_and_dates_every_entry() {
        let entries: Vec<DirectoryEntry> = serde_json::from_str(TEXT).unwrap();
        let seed: Vec<&str> = entries
            .iter()
            .filter(|entry| entry.listed == "2019-09-25")
            .map(|entry| entry.name.as_str())
            .collect();
        assert_eq!(
            seed,
            [
                "BBIX",
                "CCL",
                "DE-CIX",
                "Kordia",
                "InterCloud",
                "KDDI",
                "NTT",
                "Liquid Telecom",
                "PCCW",
                "TATA"
            ]
        );
        assert!(entries.iter().all(|entry| entry.listed.len() >= 7));
        for country in entries.iter().flat_map(|entry| &entry.countries) {
            assert!(rust_iso3166::from_alpha2(country).is_some(), "{country}");
        }
    }

    #[test]
    fn a_partner_is_found_by_any_of_its_names() {
        assert_eq!(directory_entry("liquid").unwrap().name, "Liquid Telecom");
        assert!(directory_entry("kordiaa").unwrap_err().contains("did you mean `Kordia`?"));
    }
}
