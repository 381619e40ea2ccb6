//! Providers: the ISPs, exchanges and SDCIs that sites are connected through.

use super::{
    Fault, Registry, RegistryError,
    audit::{self, Change},
    ending, json, names, rows, to_json,
};
use crate::{organisation::OrganisationId, registry::Operator, rfc3339};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// What a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProviderKind {
    /// An Internet service provider.
    Isp,
    /// An Internet exchange.
    Ixp,
    /// A software-defined cloud interconnect.
    Sdci,
}

impl ProviderKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Isp => "ISP",
            Self::Ixp => "IXP",
            Self::Sdci => "SDCI",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A text that is not a kind of provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of provider; write ISP, IXP or SDCI")]
pub struct ParseKindError(String);

impl FromStr for ProviderKind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_uppercase().as_str() {
            "ISP" => Ok(Self::Isp),
            "IXP" => Ok(Self::Ixp),
            "SDCI" => Ok(Self::Sdci),
            _ => Err(ParseKindError(text.chars().take(80).collect())),
        }
    }
}

/// A provider as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Provider {
    /// Its number.
    pub id: i64,
    /// Its name: unique without regard to case.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
    /// Where it is known to operate, as ISO 3166-1 alpha-2.
    pub countries: Vec<String>,
    /// Other names that mean it.
    pub aliases: Vec<String>,
    /// Its autonomous systems.
    pub asns: Vec<u32>,
    /// Where the entry came from, if not from an operator: `directory 2019-09-25`.
    pub source: Option<String>,
    /// When it was added.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was ended.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
}

impl Provider {
    /// Whether `name` means this provider: its name or an alias, without regard to case.
    pub fn is_called(&self, name: &str) -> bool {
        let folded = names::fold(name);
        names::fold(&self.name) == folded || self.aliases.iter().any(|alias| names::fold(alias) == folded)
    }
}

/// A provider to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProvider {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
    /// Countries, as ISO 3166-1 alpha-2.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Autonomous systems.
    #[serde(default)]
    pub asns: Vec<u32>,
    /// Where the entry comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

const COLUMNS: &str = "id, name, kind, countries, aliases, asns, source, created, ended";

impl Registry {
    /// Adds a provider; all that is wrong with it is reported at once.
    pub fn add_provider(
        &self,
        new: &NewProvider,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Provider, RegistryError> {
        self.change("add a provider", |transaction| {
            let checked = check(new, &present(transaction, by.organisation)?)?;
            transaction.execute(
                "INSERT INTO provider (organisation, name, folded, kind, countries, aliases, asns, source, created)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    by.organisation.0,
                    checked.name,
                    names::fold(&checked.name),
                    checked.kind.word(),
                    to_json(&checked.countries),
                    to_json(&checked.aliases),
                    to_json(&checked.asns),
                    checked.source,
                    now.as_micros()
                ],
            )?;
            let provider = Provider {
                id: transaction.last_insert_rowid(),
                name: checked.name,
                kind: checked.kind,
                countries: checked.countries,
                aliases: checked.aliases,
                asns: checked.asns,
                source: checked.source,
                created: now,
                ended: None,
            };
            audit::record(transaction, by, now, &Change::added("provider add", &provider.name, &provider))?;
            Ok(provider)
        })
    }

    /// Every provider in the order of their names, ended ones too.
    pub fn providers(&self, organisation: OrganisationId) -> Result<Vec<Provider>, RegistryError> {
        self.read("list the providers", |connection| {
            rows(
                connection,
                &format!("SELECT {COLUMNS} FROM provider WHERE organisation = ?1 ORDER BY folded, id"),
                params![organisation.0],
                read,
            )
        })
    }

    /// Ends a provider that no valid registration names. Reports keep its name.
    pub fn end_provider(&self, id: i64, by: &Operator, now: Timestamp) -> Result<Provider, RegistryError> {
        self.change("end a provider", |transaction| {
            let before = present(transaction, by.organisation)?
                .into_iter()
                .find(|provider| provider.id == id)
                .ok_or_else(|| Fault::not_found("provider", &id))?;
            let in_use = format!("`{}` still serves", before.name);
            ending::end_unnamed(transaction, "provider", id, &in_use, now)?;
            let after = Provider { ended: Some(now), ..before.clone() };
            let change = Change::changed("provider end", &after.name, &before, &after);
            audit::record(transaction, by, now, &change)?;
            Ok(after)
        })
    }
}

/// The providers that have not ended.
pub(super) fn present(connection: &Connection, organisation: OrganisationId) -> Result<Vec<Provider>, Fault> {
    rows(
        connection,
        &format!("SELECT {COLUMNS} FROM provider WHERE organisation = ?1 AND ended IS NULL ORDER BY folded"),
        params![organisation.0],
        read,
    )
}

/// The provider of this name or alias among `present`, or what to say instead.
pub(super) fn named<'a>(present: &'a [Provider], name: &str) -> Result<&'a Provider, String> {
    present.iter().find(|provider| provider.is_called(name)).ok_or_else(|| {
        let hint = names::suggest(name, present.iter().map(|provider| provider.name.as_str()));
        format!("there is no provider `{name}`{hint}; `peerlight-collector provider add` adds one")
    })
}

fn check(new: &NewProvider, present: &[Provider]) -> Result<NewProvider, Fault> {
    let mut errors = Vec::new();
    let name = names::check("name", &new.name, &mut errors);
    let aliases: Vec<String> =
        new.aliases.iter().map(|alias| names::check("alias", alias, &mut errors)).collect();
    let mut own = BTreeSet::new();
    for called in std::iter::once(&name).chain(&aliases) {
        if !own.insert(names::fold(called)) {
            errors.push(format!("`{called}` is given twice"));
        }
        if let Some(other) = present.iter().find(|provider| provider.is_called(called)) {
            errors.push(format!("`{called}` already means the provider `{}`", other.name));
        }
    }
    let countries: Vec<String> =
        new.countries.iter().map(|country| country.trim().to_ascii_uppercase()).collect();
    for country in &countries {
        if rust_iso3166::from_alpha2(country).is_none() {
            errors
                .push(format!("`{country}` is not a country; write its ISO 3166-1 alpha-2 code, such as NZ"));
        }
    }
    if new.asns.contains(&0) {
        errors.push("0 is not an autonomous system".to_owned());
    }
    if errors.is_empty() {
        Ok(NewProvider { name, countries, aliases, ..new.clone() })
    } else {
        Err(Fault::invalid("provider", errors))
    }
}

fn read(row: &Row<'_>) -> Result<Provider, Fault> {
    Ok(Provider {
        id: row.get(0)?,
        name: row.get(1)?,
        kind: row
            .get::<_, String>(2)?
            .parse()
            .map_err(|error: ParseKindError| Fault::damaged("provider's kind", &error))?,
        countries: json("provider's countries", &row.get::<_, String>(3)?)?,
        aliases: json("provider's aliases", &row.get::<_, String>(4)?)?,
        asns: json("provider's autonomous systems", &row.get::<_, String>(5)?)?,
        source: row.get(6)?,
        created: Timestamp::from_micros(row.get(7)?),
        ended: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}
