//! People whom an OpenID provider vouches for: who they are, and what the audit says of their coming and going.

use super::{
    Operator, Registry, RegistryError, Role,
    audit::{self, Change},
    callers::Concerns,
    to_json,
};
use crate::organisation::OrganisationId;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A person, as an OpenID provider names them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// The provider.
    pub issuer: String,
    /// Who it is there: of one provider always the same person, and never another.
    pub subject: String,
    /// What the person is called there; anybody may be called anything.
    pub name: String,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} at {})", self.name, self.subject, self.issuer)
    }
}

/// What is written down of a sign-in.
#[derive(Serialize)]
struct SignIn<'a> {
    #[serde(flatten)]
    person: &'a Person,
    role: Role,
}

impl Operator {
    /// A person of the default organisation.
    pub fn person(person: &Person, role: Role) -> Self {
        Self { person: Some(person.clone()), ..Self::of(OrganisationId::DEFAULT, person.to_string(), role) }
    }

    /// What pages call the operator: a person by the name alone.
    pub fn shown(&self) -> &str {
        self.person.as_ref().map_or(&self.name, |person| &person.name)
    }
}

impl Registry {
    /// Writes down that a person signed in, and as what.
    pub fn note_sign_in(&self, by: &Operator, now: Timestamp) -> Result<(), RegistryError> {
        let Some(person) = &by.person else { return Ok(()) };
        self.change_of(Concerns::Nobody, "note a sign-in", |transaction| {
            let after = SignIn { person, role: by.role };
            audit::record(transaction, by, now, &Change::added("sign-in", &by.name, &after))
        })
    }

    /// Writes down that somebody's session was ended by an operator.
    pub fn note_session_end(
        &self,
        whose: &str,
        session: &impl Serialize,
        by: &Operator,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.change_of(Concerns::Nobody, "note the end of a session", |transaction| {
            let before = Some(to_json(session));
            audit::record(
                transaction,
                by,
                now,
                &Change { what: "session end", object: whose, before, after: None },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_tells_people_of_one_name_apart() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&crate::paths::registry(directory.path())).unwrap();
        for subject in ["1", "2"] {
            let person = Person {
                issuer: "https://login.example.com".to_owned(),
                subject: subject.to_owned(),
                name: "local".to_owned(),
            };
            let operator = Operator::person(&person, Role::Reader);
            assert_eq!(operator.shown(), "local");
            registry.note_sign_in(&operator, Timestamp::from_secs(1)).unwrap();
        }
        let entries = registry.audit(OrganisationId::DEFAULT, 10).unwrap();
        let who: Vec<_> = entries.iter().map(|entry| entry.who.as_str()).collect();
        assert_eq!(who, ["local (2 at https://login.example.com)", "local (1 at https://login.example.com)"]);
        let after = entries[0].after.as_ref().unwrap();
        assert_eq!(
            (after["subject"].as_str(), after["role"].as_str()),
            (Some("2"), Some("reader")),
            "{after}"
        );
    }
}
