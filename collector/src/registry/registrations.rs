//! Registrations in the registry: added when every check passes, ended, never changed.

use super::{
    Fault, Operator, Registration, RegistrationId, RegistrationIndex, Registrations, Registry, RegistryError,
    audit::{self, Change},
    callers::Concerns,
    index, json, locations, names,
    prefixes::{self, Candidate, Validity},
    providers, row, rows, to_json, transact,
};
use crate::{organisation::OrganisationId, rfc3339};
use ipnet::IpNet;
use peerlight_proto::{id::AgentId, time::Timestamp};
use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::PoisonError};

/// A registration to add. Texts are checked by the registry, so that everything that is wrong is said at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegistration {
    /// The site's name.
    pub site: String,
    /// The provider's name or alias.
    pub provider: String,
    /// The location, as ISO 3166-2.
    pub location: String,
    /// The prefixes, in CIDR form.
    pub prefixes: Vec<String>,
    /// Whether reports count measurements whose public address could not be observed.
    #[serde(default)]
    pub count_declared: bool,
    /// Whether prefixes that nobody announces are accepted: documentation, private … For laboratories.
    #[serde(default)]
    pub allow_non_public: bool,
    /// Whether its prefixes may lie inside, or around, other prefixes of the same provider.
    #[serde(default)]
    pub nested: bool,
    /// Its first instant, RFC 3339 or a date; now unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// The first instant after it; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<String>,
}

impl Registration {
    /// Whether this is the site's, without regard to case.
    pub fn is_site(&self, site: &str) -> bool {
        // Agents name it as it is spelt, once for each measurement; folding is for people.
        self.site == site || names::fold(&self.site) == names::fold(site)
    }
}

const SELECT: &str = "SELECT r.id, r.organisation, r.site, p.name, l.code, r.prefixes, r.count_declared, r.valid_from, \
                      r.valid_to FROM registration r JOIN provider p ON p.id = r.provider \
                      JOIN location l ON l.id = r.location";

impl Registry {
    /// Adds a registration; all that is wrong with it is reported at once.
    pub fn add_registration(
        &self,
        new: &NewRegistration,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Registration, RegistryError> {
        self.change_registrations("add a registration", by.organisation, |transaction, index| {
            let checked = check(transaction, index, new, by.organisation, now)?;
            let registration = insert(transaction, checked, now)?;
            let change = Change::added("registration add", &registration.site, &registration);
            audit::record(transaction, by, now, &change)?;
            Ok((registration.clone(), vec![registration]))
        })
    }

    /// Makes every check of [`Registry::add_registration`] and adds nothing.
    pub fn check_registration(
        &self,
        new: &NewRegistration,
        by: &Operator,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.read("check a registration", |connection| {
            self.indexed(by.organisation, |index| check(connection, index, new, by.organisation, now))
                .map(|_acceptable| ())
        })
    }

    /// Every registration in the order of their numbers, ended ones too: what reports join by. Reads no file.
    pub fn registrations(&self, organisation: OrganisationId) -> Registrations {
        self.indexed(organisation, |index| index.registrations().clone())
    }

    /// The registration of this number.
    pub fn registration(
        &self,
        organisation: OrganisationId,
        id: RegistrationId,
    ) -> Result<Registration, RegistryError> {
        self.indexed(organisation, |index| index.registrations().get(id).cloned())
            .ok_or_else(|| RegistryError::NotFound { what: "registration", name: id.0.to_string() })
    }

    /// The registrations of a site without regard to case, in the order of their numbers, ended ones too.
    pub fn registrations_of_site(&self, organisation: OrganisationId, site: &str) -> Vec<Registration> {
        self.indexed(organisation, |index| index.of_site(site).cloned().collect())
    }

    /// The registration that an address belongs to at an instant, by its longest prefix.
    pub fn owner(
        &self,
        organisation: OrganisationId,
        address: IpAddr,
        at: Timestamp,
    ) -> Option<Registration> {
        self.indexed(organisation, |index| {
            let (_, id) = index.owner(address, at)?;
            index.registrations().get(id).cloned()
        })
    }

    /// Asks the organisation's registrations in memory.
    fn indexed<T>(&self, organisation: OrganisationId, ask: impl FnOnce(&RegistrationIndex) -> T) -> T {
        let indices = self.indices.read().unwrap_or_else(PoisonError::into_inner);
        match indices.get(&organisation) {
            Some(index) => ask(index),
            None => ask(&RegistrationIndex::default()),
        }
    }

    /// Adds or changes registrations in one durable transaction, and then in memory: `act` says what they are now. The
    /// connection is held throughout, so that what was checked against the index still holds when it is written.
    pub(super) fn change_registrations<T>(
        &self,
        operation: &'static str,
        organisation: OrganisationId,
        act: impl FnOnce(&Transaction<'_>, &RegistrationIndex) -> Result<(T, Vec<Registration>), Fault>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.connection();
        let changed = transact(&mut connection, |transaction| {
            self.indexed(organisation, |index| act(transaction, index))
        });
        self.callers.forget(Concerns::Everyone);
        if matches!(changed, Err(Fault::Sql(_))) {
            self.index_again(&connection);
        }
        let (done, changed) = changed.map_err(|fault| fault.during(operation))?;
        let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
        let index = indices.entry(organisation).or_default();
        for registration in changed {
            index.put(registration);
        }
        Ok(done)
    }

    /// Reads every registration anew: a commit that failed may have been made all the same.
    fn index_again(&self, connection: &Connection) {
        match all(connection) {
            Ok(there) => {
                let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
                *indices = index::by_organisation(there);
            }
            Err(fault) => {
                let error = fault.during("read the registrations again");
                tracing::error!(
                    ?error,
                    "registrations in memory may not be those on the disk; restart the collector"
                );
            }
        }
    }

    /// Ends a registration at an instant, or moves an end that lies ahead closer.
    pub fn end_registration(
        &self,
        id: RegistrationId,
        at: Timestamp,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Registration, RegistryError> {
        self.change_registrations("end a registration", by.organisation, |transaction, index| {
            let before = index.registrations().get(id);
            let before = before.ok_or_else(|| Fault::not_found("registration", &id.0))?;
            if let Some(end) = before.valid_to.filter(|end| *end <= at) {
                return Err(Fault::conflict(format!(
                    "the registration of `{}` has already ended at {}",
                    before.site,
                    rfc3339::text(end)
                )));
            }
            if at < before.valid_from {
                return Err(Fault::conflict(format!(
                    "the registration of `{}` begins at {}; it cannot end before",
                    before.site,
                    rfc3339::text(before.valid_from)
                )));
            }
            transaction.execute(
                "UPDATE registration SET valid_to = ?2 WHERE id = ?1",
                params![id.0, at.as_micros()],
            )?;
            let after = Registration { valid_to: Some(at), ..before.clone() };
            let change = Change::changed("registration end", &after.site, before, &after);
            audit::record(transaction, by, now, &change)?;
            Ok((after.clone(), vec![after]))
        })
    }
}

/// Adds a registration that passed every check, and gives it its number.
pub(super) fn insert(
    connection: &Connection,
    checked: Checked,
    now: Timestamp,
) -> Result<Registration, Fault> {
    let Checked { registration, provider, location, allow_non_public, nested } = checked;
    connection
        .prepare_cached(
            "INSERT INTO registration (organisation, site, provider, location, prefixes, count_declared,
             allow_non_public, nested, valid_from, valid_to, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            registration.organisation.0,
            registration.site,
            provider,
            location,
            to_json(&registration.prefixes),
            registration.count_declared,
            allow_non_public,
            nested,
            registration.valid_from.as_micros(),
            registration.valid_to.map(Timestamp::as_micros),
            now.as_micros()
        ])?;
    Ok(Registration { id: RegistrationId(connection.last_insert_rowid()), ..registration })
}

/// Every registration of every organisation.
pub(super) fn all(connection: &Connection) -> Result<Vec<Registration>, Fault> {
    rows(connection, &format!("{SELECT} ORDER BY r.id"), [], read)
}

/// The registration of this number.
pub(super) fn by_id(connection: &Connection, id: RegistrationId) -> Result<Option<Registration>, Fault> {
    row(connection, &format!("{SELECT} WHERE r.id = ?1"), params![id.0], read)
}

/// Every registration, in the order of time, of the sites that an agent has ever enrolled for in its organisation.
pub(super) fn of_agent(connection: &Connection, agent: AgentId) -> Result<Vec<Registration>, Fault> {
    rows(connection, OF_AGENT, params![agent.as_bytes()], read)
}

/// The sites first, then their registrations by the index of sites: a push whose agent is not in memory asks this.
pub(super) const OF_AGENT: &str =
    "SELECT r.id, r.organisation, r.site, p.name, l.code, r.prefixes, r.count_declared, \
     r.valid_from, r.valid_to FROM (
         SELECT one.organisation, one.site FROM agent a JOIN registration one ON one.id = a.registration
         WHERE a.id = ?1
         UNION SELECT one.organisation, one.site FROM enrolment e JOIN enrolment_token t ON t.id = e.token
         JOIN registration one ON one.id = t.registration JOIN agent a ON a.id = e.agent
         WHERE e.agent = ?1 AND one.organisation = a.organisation) enrolled
     CROSS JOIN registration r ON r.organisation = enrolled.organisation AND r.site = enrolled.site
     JOIN provider p ON p.id = r.provider JOIN location l ON l.id = r.location ORDER BY r.valid_from, r.id";

/// A registration that passed every check, with the numbers of what it names; its own number is still 0.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) registration: Registration,
    pub(super) provider: i64,
    pub(super) location: i64,
    pub(super) allow_non_public: bool,
    pub(super) nested: bool,
}

fn check(
    connection: &Connection,
    index: &RegistrationIndex,
    new: &NewRegistration,
    organisation: OrganisationId,
    now: Timestamp,
) -> Result<Checked, Fault> {
    let mut errors = Vec::new();
    let site = spelling(names::check("site", &new.site, &mut errors), index);
    let known_providers = providers::present(connection, organisation)?;
    let provider = providers::named(&known_providers, &new.provider).map_err(|error| errors.push(error)).ok();
    let known_locations = locations::present(connection, organisation)?;
    let location = locations::coded(&known_locations, &new.location).map_err(|error| errors.push(error)).ok();
    let prefixes = check_prefixes(new, &mut errors);
    let validity = check_validity(new, now, &mut errors);
    let candidate = Candidate {
        site: &site,
        provider: provider.map_or(new.provider.as_str(), |provider| provider.name.as_str()),
        prefixes: &prefixes,
        validity,
        nested: new.nested,
    };
    errors.extend(index.conflicts(&candidate));
    match (provider, location) {
        (Some(provider), Some(location)) if errors.is_empty() => Ok(Checked {
            registration: Registration {
                id: RegistrationId(0),
                organisation,
                provider: provider.name.clone(),
                location: location.code.clone(),
                count_declared: new.count_declared,
                valid_from: validity.from,
                valid_to: validity.to,
                site,
                prefixes,
            },
            provider: provider.id,
            location: location.id,
            allow_non_public: new.allow_non_public,
            nested: new.nested,
        }),
        _ => Err(Fault::invalid("registration", errors)),
    }
}

/// The prefixes that were meant; what is wrong with them goes to `errors`.
pub(super) fn check_prefixes(new: &NewRegistration, errors: &mut Vec<String>) -> Vec<IpNet> {
    if new.prefixes.is_empty() {
        errors.push("a registration needs at least one prefix".to_owned());
    }
    let mut prefixes = Vec::new();
    for text in &new.prefixes {
        match prefixes::parse(text) {
            Ok(prefix) => prefixes.push(prefix),
            Err(error) => {
                errors.push(error.to_string());
                // What was meant is judged, too, so that everything is said at once.
                if let prefixes::PrefixError::HostBits(_, meant) = error {
                    prefixes.push(meant);
                }
            }
        }
    }
    if !new.allow_non_public {
        for prefix in &prefixes {
            if let Some(what) = prefixes::non_public(prefix) {
                errors.push(format!(
                    "{prefix} touches a range that is {what}; a laboratory may allow that (--allow-non-public)"
                ));
            }
        }
    }
    prefixes
}

/// When it is to be valid; what is wrong with that goes to `errors`.
pub(super) fn check_validity(new: &NewRegistration, now: Timestamp, errors: &mut Vec<String>) -> Validity {
    let mut instant = |text: &Option<String>| {
        text.as_deref()
            .and_then(|text| rfc3339::parse(text).map_err(|error| errors.push(error.to_string())).ok())
    };
    let validity = Validity { from: instant(&new.valid_from).unwrap_or(now), to: instant(&new.valid_to) };
    if let Some(to) = validity.to.filter(|to| *to <= validity.from) {
        errors.push(format!(
            "the registration would end at {}, before it begins at {}",
            rfc3339::text(to),
            rfc3339::text(validity.from)
        ));
    }
    validity
}

/// A site keeps the spelling of its first registration: by it, its registrations are one after another.
fn spelling(site: String, index: &RegistrationIndex) -> String {
    let first = index.of_site(&site).next().map(|known| known.site.clone());
    first.unwrap_or(site)
}

fn read(row: &Row<'_>) -> Result<Registration, Fault> {
    Ok(Registration {
        id: RegistrationId(row.get(0)?),
        organisation: OrganisationId(row.get(1)?),
        site: row.get(2)?,
        provider: row.get(3)?,
        location: row.get(4)?,
        prefixes: json("registration's prefixes", &row.get::<_, String>(5)?)?,
        count_declared: row.get(6)?,
        valid_from: Timestamp::from_micros(row.get(7)?),
        valid_to: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}
