//! What the spool had to give up since it was made. It stands in a file, so that no restart hides a loss; and the file names
//! the batches that were counted and are about to go, so that no crash counts one twice.

use super::{
    SpoolError,
    account::Dropped,
    directory::{Apart, Directory},
    disk,
};
use crate::durable;
use peerlight_proto::id::AccountId;
use serde::{Deserialize, Serialize};
use std::{fs, io};

const FILE: &str = "given-up.json";

/// The counts that outlive the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GivenUp {
    #[serde(flatten)]
    pub(super) counts: GivenUpCounts,
    /// What was dropped, when and why, for the collector.
    #[serde(default = "new_account")]
    pub(super) account: Dropped,
    /// Batches that are counted above and whose files may still be there.
    #[serde(default)]
    pub(super) going: Vec<Going>,
}

/// Totals for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct GivenUpCounts {
    pub(super) dropped: u64,
    pub(super) corrupt: u64,
    pub(super) rejected: u64,
    pub(super) too_large: u64,
    pub(super) refused_measurements: u64,
    pub(super) lost_measurements: u64,
}

/// A batch that was counted as given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Going {
    /// The name of its file.
    pub(super) name: String,
    /// Where it is kept for whoever wants to look at it, if it is.
    pub(super) apart: Option<Apart>,
}

fn new_account() -> Dropped {
    Dropped::new(AccountId::new(rand::random()))
}

impl Default for GivenUp {
    fn default() -> Self {
        Self { counts: GivenUpCounts::default(), account: new_account(), going: Vec::new() }
    }
}

/// The counts as they were written last; all are 0 in a new spool.
pub(super) fn read(directory: &Directory) -> Result<GivenUp, SpoolError> {
    let path = directory.file(FILE);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(GivenUp::default()),
        Err(error) => Err(disk("read", &path)(error)),
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "the counts of what was given up begin anew");
            GivenUp::default()
        })),
    }
}

/// Writes them durably.
pub(super) fn write(directory: &Directory, given_up: &GivenUp) -> Result<(), SpoolError> {
    let path = directory.file(FILE);
    let text = serde_json::to_vec(given_up).map_err(|error| disk("write", &path)(error.into()))?;
    durable::replace(&path, &text).map_err(disk("write", &path))
}
