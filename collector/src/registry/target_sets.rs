//! Target sets: the numbered versions of what agents are assigned, which of them is in force, and how one is rolled out and
//! back. A set never changes.

use super::{
    Fault, Operator, Registry, RegistryError,
    audit::{self, Change},
    callers::Concerns,
    json,
    roll_out::{EVERYBODY, RollOut},
    row, rows, to_json,
};
use crate::{organisation::OrganisationId, rfc3339};
use hashbrown::HashMap;
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

/// What becomes of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetSetState {
    /// Agents have it, but for those that have the staged one.
    InForce,
    /// A share of the agents has it, to see how it does.
    Staged,
    /// It was in force or staged, or never came so far.
    Past,
}

/// A target set as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TargetSetEntry {
    /// Its number.
    pub number: u32,
    /// The set that was in force when it was made, which a roll-back returns to; 0 for none, null if nobody knows.
    pub made_of: Option<u32>,
    /// How many targets it has.
    pub targets: u32,
    /// What becomes of it.
    pub state: TargetSetState,
    /// Of the staged one: how many thousandths of the agents have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_permille: Option<u16>,
    /// How many agents say that they measure by it.
    pub held_by: u32,
    /// How many agents say that they refuse it.
    pub refused_by: u32,
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
}

/// A roll-out of the staged target set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// How many thousandths of the agents are to have it; 1,000 puts it in force.
    pub share_permille: u16,
}

/// Where a roll-back leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// The set that is to be in force; unless given the one in force while another is staged, else the one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

const LIST: &str = "SELECT number, made_of, json_array_length(targets), created, created_by FROM target_set
                    WHERE organisation = ?1 ORDER BY number DESC";

impl Registry {
    /// Every target set, the newest first, with how many agents hold and refuse it.
    pub fn target_sets(&self, organisation: OrganisationId) -> Result<Vec<TargetSetEntry>, RegistryError> {
        self.noted();
        self.read("list the target sets", |connection| {
            let roll_out = current(connection, organisation)?;
            let (held, refused) = (
                agents_by("held_set", connection, organisation)?,
                agents_by("refused_set", connection, organisation)?,
            );
            rows(connection, LIST, params![organisation.0], |row| read(row, roll_out, &held, &refused))
        })
    }

    /// Which set is in force, and which one is staged.
    pub fn roll_out(&self, organisation: OrganisationId) -> Result<RollOut, RegistryError> {
        self.read("show the roll-out", |connection| current(connection, organisation))
    }

    /// Gives the staged set to so many thousandths of the agents; to all of them means that it is in force.
    pub fn roll_out_targets(
        &self,
        new: NewShare,
        by: &Operator,
        now: Timestamp,
    ) -> Result<RollOut, RegistryError> {
        self.change_of(Concerns::Targets, "roll the targets out", |transaction| {
            let before = current(transaction, by.organisation)?;
            let Some(staged) = before.staged else {
                let advice =
                    "no target set is staged; `target add --staged` and `target remove --staged` make one";
                return Err(Fault::conflict(advice.to_owned()));
            };
            let share_permille = new.share_permille;
            if share_permille > EVERYBODY {
                let error = format!("a share of {share_permille} thousandths is more than all agents");
                return Err(Fault::invalid("share", vec![error]));
            }
            let after = if share_permille == EVERYBODY {
                RollOut { in_force: staged, staged: None, share_permille: 0 }
            } else {
                RollOut { share_permille, ..before }
            };
            turn(transaction, "target roll-out", (before, after), by, now)
        })
    }

    /// Takes the staged set back, or puts an earlier one in force, for all agents at once.
    pub fn roll_back_targets(
        &self,
        wanted: RollBack,
        by: &Operator,
        now: Timestamp,
    ) -> Result<RollOut, RegistryError> {
        self.change_of(Concerns::Targets, "roll the targets back", |transaction| {
            let before = current(transaction, by.organisation)?;
            let to = match (wanted.to, before.staged) {
                (Some(to), _) => to,
                (None, Some(_staged)) => before.in_force,
                (None, None) => made_of(transaction, by.organisation, before.in_force)?,
            };
            if to == before.in_force && before.staged.is_none() {
                return Err(Fault::conflict(format!("target set {to} is in force already")));
            }
            if to != 0 && members(transaction, by.organisation, to)?.is_none() {
                return Err(Fault::not_found("target set", &to));
            }
            let after = RollOut { in_force: to, ..RollOut::default() };
            turn(transaction, "target roll-back", (before, after), by, now)
        })
    }
}

/// What a change of the targets starts from: the targets' numbers, and what is to become of the changed set.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) targets: Vec<i64>,
    roll_out: RollOut,
    staged: bool,
}

impl Draft {
    /// A draft of the staged set, or of the one in force.
    pub(super) fn begin(
        connection: &Connection,
        organisation: OrganisationId,
        staged: bool,
    ) -> Result<Self, Fault> {
        let roll_out = current(connection, organisation)?;
        if let Some(under_way) = roll_out.staged.filter(|_set| !staged) {
            return Err(Fault::conflict(format!(
                "target set {under_way} is staged: change that one (`--staged`), or end its roll-out first \
                 (`peerlight-collector target roll-out 100%`, or `target roll-back`)"
            )));
        }
        let base = roll_out.staged.unwrap_or(roll_out.in_force);
        let targets = members(connection, organisation, base)?.unwrap_or_default();
        Ok(Self { targets, roll_out, staged })
    }

    /// Makes a set of it, which is in force or staged from now on.
    pub(super) fn keep(self, connection: &Connection, by: &Operator, now: Timestamp) -> Result<u32, Fault> {
        let number = newest(connection, by.organisation)? + 1;
        connection.execute(
            "INSERT INTO target_set (organisation, number, made_of, targets, created, created_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                by.organisation.0,
                number,
                self.roll_out.in_force,
                to_json(&self.targets),
                now.as_micros(),
                by.name
            ],
        )?;
        let after = if self.staged {
            RollOut { staged: Some(number), ..self.roll_out }
        } else {
            RollOut { in_force: number, ..self.roll_out }
        };
        set(connection, by.organisation, after)?;
        Ok(number)
    }
}

/// Which set is in force, and which one is staged.
pub(super) fn current(connection: &Connection, organisation: OrganisationId) -> Result<RollOut, Fault> {
    let known = row(
        connection,
        "SELECT in_force, staged, share_permille FROM roll_out WHERE organisation = ?1",
        params![organisation.0],
        |row| Ok(RollOut { in_force: row.get(0)?, staged: row.get(1)?, share_permille: row.get(2)? }),
    )?;
    Ok(known.unwrap_or_default())
}

/// The numbers of a set's targets, if there is such a set.
pub(super) fn members(
    connection: &Connection,
    organisation: OrganisationId,
    number: u32,
) -> Result<Option<Vec<i64>>, Fault> {
    row(
        connection,
        "SELECT targets FROM target_set WHERE organisation = ?1 AND number = ?2",
        params![organisation.0, number],
        |row| json("target set", &row.get::<_, String>(0)?),
    )
}

/// The number of the newest set; 0 if there is none.
pub(super) fn newest(connection: &Connection, organisation: OrganisationId) -> Result<u32, Fault> {
    let found = row(
        connection,
        "SELECT max(number) FROM target_set WHERE organisation = ?1",
        params![organisation.0],
        |row| Ok(row.get::<_, Option<u32>>(0)?),
    )?;
    Ok(found.flatten().unwrap_or(0))
}

fn made_of(connection: &Connection, organisation: OrganisationId, number: u32) -> Result<u32, Fault> {
    let known = row(
        connection,
        "SELECT made_of FROM target_set WHERE organisation = ?1 AND number = ?2",
        params![organisation.0, number],
        |row| Ok(row.get::<_, Option<u32>>(0)?),
    )?;
    known.flatten().ok_or_else(|| {
        Fault::conflict(format!("no target set is known before {number}; `--to` names one to go to"))
    })
}

/// Changes which sets agents have, and writes down who did it.
fn turn(
    connection: &Connection,
    what: &'static str,
    (before, after): (RollOut, RollOut),
    by: &Operator,
    now: Timestamp,
) -> Result<RollOut, Fault> {
    if before != after {
        set(connection, by.organisation, after)?;
        let object = format!("target set {}", after.staged.unwrap_or(after.in_force));
        audit::record(connection, by, now, &Change::changed(what, &object, &before, &after))?;
    }
    Ok(after)
}

fn set(connection: &Connection, organisation: OrganisationId, after: RollOut) -> Result<(), Fault> {
    connection.execute(
        "INSERT OR REPLACE INTO roll_out (organisation, in_force, staged, share_permille) VALUES (?1, ?2, ?3, ?4)",
        params![organisation.0, after.in_force, after.staged, after.share_permille],
    )?;
    Ok(())
}

/// How many agents say so of each set.
fn agents_by(
    column: &'static str,
    connection: &Connection,
    organisation: OrganisationId,
) -> Result<HashMap<u32, u32>, Fault> {
    let sql = format!(
        "SELECT {column}, count(*) FROM agent WHERE organisation = ?1 AND revoked IS NULL AND {column} IS NOT NULL
         GROUP BY {column}"
    );
    let counted = rows(connection, &sql, params![organisation.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(counted.into_iter().collect())
}

fn read(
    row: &Row<'_>,
    roll_out: RollOut,
    held: &HashMap<u32, u32>,
    refused: &HashMap<u32, u32>,
) -> Result<TargetSetEntry, Fault> {
    let number: u32 = row.get(0)?;
    let state = if roll_out.staged == Some(number) {
        TargetSetState::Staged
    } else if roll_out.in_force == number {
        TargetSetState::InForce
    } else {
        TargetSetState::Past
    };
    let of = |counts: &HashMap<u32, u32>| counts.get(&number).copied().unwrap_or(0);
    Ok(TargetSetEntry {
        number,
        made_of: row.get(1)?,
        targets: row.get(2)?,
        state,
        share_permille: (state == TargetSetState::Staged).then_some(roll_out.share_permille),
        held_by: of(held),
        refused_by: of(refused),
        created: Timestamp::from_micros(row.get(3)?),
        created_by: row.get(4)?,
    })
}
