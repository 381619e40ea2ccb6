//! Locations: the places, at the level of states, that sites are in.

use super::{
    Fault, Registry, RegistryError,
    audit::{self, Change},
    ending, names, rows, time_zones,
};
use crate::{organisation::OrganisationId, registry::Operator, rfc3339};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

/// A location as the registry holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Location {
    /// Its number.
    pub id: i64,
    /// ISO 3166-2, or ISO 3166-1 alpha-2 for a country without subdivisions.
    pub code: String,
    /// What people call it.
    pub name: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// When it was added.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was ended.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
}

/// A location to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLocation {
    /// ISO 3166-2.
    pub code: String,
    /// What people call it; the standard's name unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its IANA time zone; may be left out where the code decides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Degrees north.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    /// Degrees east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
}

const COLUMNS: &str = "id, code, name, time_zone, latitude, longitude, created, ended";

impl Registry {
    /// Adds a location; all that is wrong with it is reported at once.
    pub fn add_location(
        &self,
        new: &NewLocation,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Location, RegistryError> {
        let (code, name, time_zone) = check(new)?;
        self.change("add a location", |transaction| {
            if present(transaction, by.organisation)?.iter().any(|location| location.code == code) {
                return Err(Fault::conflict(format!("the location `{code}` is already there")));
            }
            transaction.execute(
                "INSERT INTO location (organisation, code, name, time_zone, latitude, longitude, created)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    by.organisation.0,
                    code,
                    name,
                    time_zone,
                    new.latitude,
                    new.longitude,
                    now.as_micros()
                ],
            )?;
            let location = Location {
                id: transaction.last_insert_rowid(),
                code,
                name,
                time_zone,
                latitude: new.latitude,
                longitude: new.longitude,
                created: now,
                ended: None,
            };
            audit::record(transaction, by, now, &Change::added("location add", &location.code, &location))?;
            Ok(location)
        })
    }

    /// Every location in the order of their codes, ended ones too.
    pub fn locations(&self, organisation: OrganisationId) -> Result<Vec<Location>, RegistryError> {
        self.read("list the locations", |connection| {
            rows(
                connection,
                &format!("SELECT {COLUMNS} FROM location WHERE organisation = ?1 ORDER BY code, id"),
                params![organisation.0],
                read,
            )
        })
    }

    /// Ends a location that no valid registration names.
    pub fn end_location(&self, id: i64, by: &Operator, now: Timestamp) -> Result<Location, RegistryError> {
        self.change("end a location", |transaction| {
            let before = present(transaction, by.organisation)?
                .into_iter()
                .find(|location| location.id == id)
                .ok_or_else(|| Fault::not_found("location", &id))?;
            let in_use = format!("{} still holds", before.code);
            ending::end_unnamed(transaction, "location", id, &in_use, now)?;
            let after = Location { ended: Some(now), ..before.clone() };
            let change = Change::changed("location end", &after.code, &before, &after);
            audit::record(transaction, by, now, &change)?;
            Ok(after)
        })
    }
}

/// The locations that have not ended.
pub(super) fn present(connection: &Connection, organisation: OrganisationId) -> Result<Vec<Location>, Fault> {
    rows(
        connection,
        &format!("SELECT {COLUMNS} FROM location WHERE organisation = ?1 AND ended IS NULL ORDER BY code"),
        params![organisation.0],
        read,
    )
}

/// The location of this code among `present`, or what to say instead.
pub(super) fn coded<'a>(present: &'a [Location], code: &str) -> Result<&'a Location, String> {
    let wanted = canonical(code);
    present.iter().find(|location| location.code == wanted).ok_or_else(|| {
        let hint = names::suggest(&wanted, present.iter().map(|location| location.code.as_str()));
        format!("there is no location `{wanted}`{hint}; `peerlight-collector location add` adds one")
    })
}

/// A code as the registry writes it.
pub(super) fn canonical(code: &str) -> String {
    code.trim().to_ascii_uppercase()
}

/// The standard's name of a location, or why the code is none.
fn standard_name(code: &str) -> Result<String, String> {
    if let Some(subdivision) = rust_iso3166::iso3166_2::from_code(code) {
        return Ok(subdivision.name.to_owned());
    }
    let Some(country) = code.get(..2).and_then(rust_iso3166::from_alpha2) else {
        return Err(format!("`{code}` is not an ISO 3166-2 code, such as GB-LND or US-WA"));
    };
    let subdivisions = country.subdivisions().unwrap_or_default();
    match subdivisions.first() {
        // Hong Kong and a few more have no subdivisions: the country is the location.
        None if code.len() == 2 => Ok(country.name.to_owned()),
        None => Err(format!(
            "`{code}` is not an ISO 3166-2 code; {} has no subdivisions, write {}",
            country.name, country.alpha2
        )),
        Some(first) => {
            let codes = subdivisions.iter().map(|subdivision| subdivision.code);
            let hint = if code.len() == 2 { String::new() } else { names::suggest(code, codes) };
            Err(format!(
                "`{code}`{hint} is not an ISO 3166-2 code; those of {} begin with {}-, such as {} ({})",
                country.name, country.alpha2, first.code, first.name
            ))
        }
    }
}

fn check(new: &NewLocation) -> Result<(String, String, String), RegistryError> {
    let mut errors = Vec::new();
    let code = canonical(&new.code);
    let known = standard_name(&code);
    let is_code = known.is_ok();
    let standard = known.unwrap_or_else(|error| {
        errors.push(error);
        String::new()
    });
    let name = new.name.as_ref().map_or(standard, |name| names::check("name", name, &mut errors));
    let time_zone = check_time_zone(new.time_zone.as_deref(), &code, is_code, &mut errors);
    match (new.latitude, new.longitude) {
        (None, None) => {}
        (Some(latitude), Some(longitude)) => {
            if !(-90.0..=90.0).contains(&latitude) {
                errors.push(format!("a latitude of {latitude} is not between -90 and 90 degrees"));
            }
            if !(-180.0..=180.0).contains(&longitude) {
                errors.push(format!("a longitude of {longitude} is not between -180 and 180 degrees"));
            }
        }
        (Some(_), None) | (None, Some(_)) => {
            errors.push("coordinates are a latitude and a longitude; give both".to_owned());
        }
    }
    if errors.is_empty() {
        Ok((code, name, time_zone))
    } else {
        Err(RegistryError::Invalid { what: "location", errors })
    }
}

/// The zone that was given, or the one that the code decides.
fn check_time_zone(given: Option<&str>, code: &str, is_code: bool, errors: &mut Vec<String>) -> String {
    if let Some(zone) = given.map(str::trim).or_else(|| time_zones::usual(code)) {
        if jiff::tz::TimeZone::get(zone).is_err() {
            errors.push(format!("`{zone}` is not an IANA time zone, such as Europe/London"));
        }
        return zone.to_owned();
    }
    // Where the code is none, that has been said, and nothing follows from it.
    if is_code {
        errors
            .push(format!("`{code}` does not decide a time zone; give its IANA name, such as Europe/London"));
    }
    String::new()
}

fn read(row: &Row<'_>) -> Result<Location, Fault> {
    Ok(Location {
        id: row.get(0)?,
        code: row.get(1)?,
        name: row.get(2)?,
        time_zone: row.get(3)?,
        latitude: row.get(4)?,
        longitude: row.get(5)?,
        created: Timestamp::from_micros(row.get(6)?),
        ended: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_micros),
    })
}
