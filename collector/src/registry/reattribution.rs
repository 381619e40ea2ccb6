//! The registry's part in a re-attribution: which two registrations it is between, and its entry in the audit.

use super::{
    Fault, Registration, RegistrationId, Registry, RegistryError,
    audit::{self, Change},
    operators::{Operator, Role},
    registrations, row, to_json,
};
use crate::{organisation::OrganisationId, reattribution::ReattributionEntry};
use peerlight_proto::time::Timestamp;
use rusqlite::params;

/// What the audit calls it.
const WHAT: &str = "registration reattribute";

/// Whether it is there; with [`WHAT`] in the words of its index, which is used for no others.
pub(super) const WRITTEN_DOWN: &str =
    "SELECT 1 FROM audit WHERE organisation = ?1 AND what = 'registration reattribute' AND after = ?2";

impl Registry {
    /// The two registrations that measurements are to be moved between, both of the organisation.
    pub fn reattribution_between(
        &self,
        organisation: OrganisationId,
        from: RegistrationId,
        to: RegistrationId,
    ) -> Result<(Registration, Registration), RegistryError> {
        self.read("look two registrations up", |connection| {
            let find = |id: RegistrationId| {
                registrations::by_id(connection, id)?
                    .filter(|registration| registration.organisation == organisation)
                    .ok_or_else(|| Fault::not_found("registration", &id.0))
            };
            let (from, to) = (find(from)?, find(to)?);
            if from.id == to.id {
                return Err(Fault::invalid(
                    "re-attribution",
                    vec![format!("it goes from registration {} to itself; name another one", from.id.0)],
                ));
            }
            Ok((from, to))
        })
    }

    /// Writes a finished re-attribution down, once however often this is called.
    pub fn audit_reattribution(
        &self,
        organisation: OrganisationId,
        done: &ReattributionEntry,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.change("audit a re-attribution", |transaction| {
            let after = to_json(done);
            let there = row(transaction, WRITTEN_DOWN, params![organisation.0, after], |_row| Ok(()))?;
            if there.is_some() {
                return Ok(());
            }
            let find = |id: RegistrationId| {
                registrations::by_id(transaction, id)?.ok_or_else(|| Fault::not_found("registration", &id.0))
            };
            let (from, to) = (find(done.from)?, find(done.to)?);
            let object = format!("{} (registration {}) to {} ({})", from.site, from.id.0, to.site, to.id.0);
            let by = Operator::of(organisation, done.who.clone(), Role::Administrator);
            let change =
                Change { what: WHAT, object: &object, before: Some(to_json(&from)), after: Some(after) };
            audit::record(transaction, &by, now, &change)
        })
    }
}
