//! What the spool had to give up since it was made. It stands in a file, so that no restart hides a loss.

use super::{Counts, SpoolError, directory::Directory, disk};
use crate::durable;
use serde::{Deserialize, Serialize};
use std::{fs, io};

const FILE: &str = "given-up.json";

/// The counts that outlive the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct GivenUp {
    dropped: u64,
    corrupt: u64,
    rejected: u64,
    too_large: u64,
    refused_measurements: u64,
}

/// The counts as they were written last; all are 0 in a new spool.
pub(super) fn read(directory: &Directory) -> Result<Counts, SpoolError> {
    let path = directory.file(FILE);
    let GivenUp { dropped, corrupt, rejected, too_large, refused_measurements } = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => GivenUp::default(),
        Err(error) => return Err(disk("read", &path)(error)),
        Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "the counts of what was given up begin anew");
            GivenUp::default()
        }),
    };
    Ok(Counts { dropped, corrupt, rejected, too_large, refused_measurements, ..Counts::default() })
}

/// Writes them durably.
pub(super) fn write(directory: &Directory, counts: &Counts) -> Result<(), SpoolError> {
    let &Counts { dropped, corrupt, rejected, too_large, refused_measurements, .. } = counts;
    let path = directory.file(FILE);
    let text = serde_json::to_vec(&GivenUp { dropped, corrupt, rejected, too_large, refused_measurements })
        .map_err(|error| disk("write", &path)(error.into()))?;
    durable::replace(&path, &text).map_err(disk("write", &path))
}
