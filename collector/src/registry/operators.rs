//! Operators: who may read and change the registry, and the tokens that prove it.

use super::{
    Fault, Person, Registry, RegistryError,
    audit::{self, Change},
    hash_secret, names, new_secret, row, rows,
};
use crate::{organisation::OrganisationId, rfc3339};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq as _;

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read and change everything of the organisation.
    Administrator,
    /// Read only.
    Reader,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Reader => "reader",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A text that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; write administrator or reader")]
pub struct ParseRoleError(String);

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "administrator" => Ok(Self::Administrator),
            "reader" => Ok(Self::Reader),
            _ => Err(ParseRoleError(text.chars().take(80).collect())),
        }
    }
}

/// Who asks, and for which organisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operator {
    /// Whose entries it sees and changes.
    pub organisation: OrganisationId,
    /// The token's name, or who a person is: what the audit says.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The person, if it is one whom an OpenID provider vouches for.
    pub person: Option<Person>,
    /// The only provider whose numbers it sees; everyone's unless given.
    pub only: Option<String>,
}

/// Whose measurements one sees: all of an organisation's, or those of one of its providers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Whose.
    pub organisation: OrganisationId,
    /// The only provider, as it is registered.
    pub provider: Option<String>,
}

impl Sight {
    /// All of an organisation's.
    pub const fn whole(organisation: OrganisationId) -> Self {
        Self { organisation, provider: None }
    }
}

impl Operator {
    /// Whose measurements it sees.
    pub fn sight(&self) -> Sight {
        Sight { organisation: self.organisation, provider: self.only.clone() }
    }

    /// Somebody who sees all of an organisation.
    pub const fn of(organisation: OrganisationId, name: String, role: Role) -> Self {
        Self { organisation, name, role, person: None, only: None }
    }

    /// The collector itself, acting for the default organisation.
    pub fn local() -> Self {
        Self::of(OrganisationId::DEFAULT, "local".to_owned(), Role::Administrator)
    }
}

/// An operator token as lists show it: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperatorToken {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was revoked.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
}

/// An operator token to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperatorToken {
    /// Its name: what the audit says.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// An operator token just made. Its text is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedOperatorToken {
    /// What the operator is given.
    pub token: String,
    /// What lists show of it.
    #[serde(flatten)]
    pub entry: OperatorToken,
}

/// The token stays out of logs.
impl fmt::Debug for IssuedOperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedOperatorToken").field("entry", &self.entry).finish_non_exhaustive()
    }
}

const COLUMNS: &str = "id, name, role, created, revoked";

/// Every operator token begins with this, so that scanners find one that leaked.
const PREFIX: &str = "peerlight-operator.";

impl Registry {
    /// Makes a token; its text is returned and kept nowhere. A token of the same name is revoked by it, so that a
    /// lost one can be replaced.
    pub fn create_operator_token(
        &self,
        name: &str,
        role: Role,
        by: &Operator,
        now: Timestamp,
    ) -> Result<IssuedOperatorToken, RegistryError> {
        let mut errors = Vec::new();
        let name = names::check("name", name, &mut errors);
        if !errors.is_empty() {
            return Err(RegistryError::Invalid { what: "operator token", errors });
        }
        let token = format!("{PREFIX}{}", new_secret());
        let entry = self.change("create an operator token", |transaction| {
            let same_name = row(
                transaction,
                &format!(
                    "SELECT {COLUMNS} FROM operator_token WHERE organisation = ?1 AND name = ?2 AND revoked IS NULL"
                ),
                params![by.organisation.0, name],
                read_token,
            )?;
            if let Some(replaced) = same_name {
                revoke(transaction, &replaced, by, now)?;
            }
            transaction.execute(
                "INSERT INTO operator_token (organisation, name, role, hash, created) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![by.organisation.0, name, role.word(), hash_secret(&token), now.as_micros()],
            )?;
            let id = transaction.last_insert_rowid();
            let entry = OperatorToken { id, name: name.clone(), role, created: now, revoked: None };
            audit::record(transaction, by, now, &Change::added("operator create", &name, &entry))?;
            Ok(entry)
        })?;
        Ok(IssuedOperatorToken { token, entry })
    }

    /// Whose token this is, if it is one that holds.
    pub fn operator(&self, token: &str) -> Result<Option<Operator>, RegistryError> {
        let hash = hash_secret(token);
        self.read("look an operator token up", |connection| {
            let found = row(
                connection,
                "SELECT organisation, name, role, hash FROM operator_token WHERE hash = ?1 AND revoked IS NULL",
                params![hash],
                |row| Ok((read_operator(row)?, row.get::<_, [u8; 32]>(3)?)),
            )?;
            // The index has found it by its hash, of which timing tells nothing; this makes the verdict itself constant.
            Ok(found.filter(|(_, kept)| bool::from(kept.ct_eq(&hash))).map(|(operator, _)| operator))
        })
    }

    /// Every operator token, in the order of their names.
    pub fn operator_tokens(&self, organisation: OrganisationId) -> Result<Vec<OperatorToken>, RegistryError> {
        self.read("list the operator tokens", |connection| {
            rows(
                connection,
                &format!("SELECT {COLUMNS} FROM operator_token WHERE organisation = ?1 ORDER BY name, id"),
                params![organisation.0],
                read_token,
            )
        })
    }

    /// Revokes an operator token.
    pub fn revoke_operator_token(
        &self,
        id: i64,
        by: &Operator,
        now: Timestamp,
    ) -> Result<OperatorToken, RegistryError> {
        self.change("revoke an operator token", |transaction| {
            let before = row(
                transaction,
                &format!("SELECT {COLUMNS} FROM operator_token WHERE organisation = ?1 AND id = ?2"),
                params![by.organisation.0, id],
                read_token,
            )?
            .ok_or_else(|| Fault::not_found("operator token", &id))?;
            if before.revoked.is_some() { Ok(before) } else { revoke(transaction, &before, by, now) }
        })
    }
}

/// Revokes a token that holds, and writes it down.
fn revoke(
    connection: &Connection,
    before: &OperatorToken,
    by: &Operator,
    now: Timestamp,
) -> Result<OperatorToken, Fault> {
    connection.execute(
        "UPDATE operator_token SET revoked = ?2 WHERE id = ?1",
        params![before.id, now.as_micros()],
    )?;
    let after = OperatorToken { revoked: Some(now), ..before.clone() };
    audit::record(connection, by, now, &Change::changed("operator revoke", &after.name, before, &after))?;
    Ok(after)
}

fn read_token(row: &Row<'_>) -> Result<OperatorToken, Fault> {
    Ok(OperatorToken {
        id: row.get(0)?,
        name: row.get(1)?,
        role: read_role(&row.get::<_, String>(2)?)?,
        created: Timestamp::from_micros(row.get(3)?),
        revoked: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_micros),
    })
}

fn read_operator(row: &Row<'_>) -> Result<Operator, Fault> {
    Ok(Operator::of(OrganisationId(row.get(0)?), row.get(1)?, read_role(&row.get::<_, String>(2)?)?))
}

fn read_role(text: &str) -> Result<Role, Fault> {
    text.parse().map_err(|error: ParseRoleError| Fault::damaged("operator's role", &error))
}
