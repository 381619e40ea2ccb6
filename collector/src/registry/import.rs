//! Imports: many registrations from one file, all of them or none. Importing a file again changes nothing.

mod faults;
mod file;
mod occupied;
mod plan;

pub use file::{COLUMNS, Line, Lines, MAX_FILE_BYTES, MAX_PREFIXES, MAX_ROWS};

use super::{
    Fault, Location, Operator, Provider, Registration, Registry, RegistryError,
    audit::{self, Change},
    locations, providers, registrations,
};
use crate::organisation::OrganisationId;
use peerlight_proto::time::Timestamp;
use plan::{Plan, plan};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// How many registrations were added, or would be.
    pub added: usize,
    /// How many rows say what was registered already.
    pub unchanged: usize,
    /// Whether it was only asked what would be done.
    pub dry_run: bool,
}

/// What a file is compared with.
#[derive(Debug)]
struct Present {
    providers: Vec<Provider>,
    locations: Vec<Location>,
    registrations: Vec<Registration>,
    /// The latest change of the registry that it takes into account.
    change: i64,
}

impl Registry {
    /// Adds every registration of a CSV file (see [`COLUMNS`]), or none; rows that say what is registered already are left
    /// alone. A dry run makes every check and adds nothing.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] with what is wrong, by line; beyond the first hundred faults it says only how many.
    pub fn import_registrations(
        &self,
        file: &[u8],
        dry_run: bool,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Imported, RegistryError> {
        const OPERATION: &str = "import registrations";
        let planned = |present: &Present| planned(file, present, by.organisation, now);
        // Checking takes longest, so it is done while others may use the registry.
        let present = self.read(OPERATION, |connection| Present::read(connection, by.organisation))?;
        let plan = planned(&present).map_err(|fault| fault.during(OPERATION))?;
        let imported = |plan: &Plan| Imported { added: plan.add.len(), unchanged: plan.unchanged, dry_run };
        if dry_run {
            return Ok(imported(&plan));
        }
        self.change_registrations(OPERATION, by.organisation, |transaction, _index| {
            let plan = if latest_change(transaction)? == present.change {
                plan
            } else {
                planned(&Present::read(transaction, by.organisation)?)?
            };
            let imported = imported(&plan);
            let mut added = Vec::with_capacity(plan.add.len());
            for checked in plan.add {
                let registration = registrations::insert(transaction, checked, now)?;
                let change = Change::added("registration import", &registration.site, &registration);
                audit::record(transaction, by, now, &change)?;
                added.push(registration);
            }
            Ok((imported, added))
        })
    }
}

impl Present {
    fn read(connection: &Connection, organisation: OrganisationId) -> Result<Self, Fault> {
        Ok(Self {
            change: latest_change(connection)?,
            providers: providers::present(connection, organisation)?,
            locations: locations::present(connection, organisation)?,
            registrations: registrations::all(connection)?
                .into_iter()
                .filter(|one| one.organisation == organisation)
                .collect(),
        })
    }
}

/// The number of the latest change: every change of what an import depends on is audited.
fn latest_change(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?)
}

fn planned(
    file: &[u8],
    present: &Present,
    organisation: OrganisationId,
    now: Timestamp,
) -> Result<Plan, Fault> {
    Lines::of(file)
        .and_then(|lines| plan(lines, present, organisation, now).map_err(faults::Faults::into_words))
        .map_err(|errors| Fault::invalid("file", errors))
}
