//! What the registry refuses, and what can go wrong with its file.

use crate::trouble;
use std::path::PathBuf;

/// Why the registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file cannot be opened.
    #[error("cannot open the registry {}: {source}{}", path.display(), trouble::remedy(source))]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// A newer collector has written the file.
    #[error(
        "the registry has schema {found}, this collector knows up to {known}; install the newer collector"
    )]
    NewerSchema {
        /// The file's schema.
        found: u32,
        /// The newest that this build knows.
        known: usize,
    },
    /// The database refused or failed.
    #[error("the registry could not {operation}: {source}{}", trouble::remedy(source))]
    Database {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// A stored entry does not read back: the file was damaged.
    #[error("the registry's {what} is damaged: {detail}")]
    Damaged {
        /// Which column.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The entry breaks a rule; every rule that it breaks is named.
    #[error("the {what} is not acceptable: {}", errors.join("; "))]
    Invalid {
        /// What kind of entry.
        what: &'static str,
        /// Every check that failed.
        errors: Vec<String>,
    },
    /// The entry as it stands forbids this.
    #[error("{detail}")]
    Conflict {
        /// What stands in the way, and what to do.
        detail: String,
    },
    /// There is no such entry.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of entry.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
}

/// What happens inside a transaction: the database's word, which still lacks its operation, or the registry's own.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database failed.
    Sql(rusqlite::Error),
    /// The registry refused.
    Refused(RegistryError),
}

impl From<rusqlite::Error> for Fault {
    fn from(source: rusqlite::Error) -> Self {
        Self::Sql(source)
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// The error, now that it is known what was tried.
    pub(super) fn during(self, operation: &'static str) -> RegistryError {
        match self {
            Self::Sql(source) => RegistryError::Database { operation, source },
            Self::Refused(error) => error,
        }
    }

    /// A stored value that does not read back.
    pub(super) fn damaged(what: &'static str, error: &(impl ToString + ?Sized)) -> Self {
        Self::Refused(RegistryError::Damaged { what, detail: error.to_string() })
    }

    /// An entry that is not there.
    pub(super) fn not_found(what: &'static str, name: &(impl ToString + ?Sized)) -> Self {
        Self::Refused(RegistryError::NotFound { what, name: name.to_string() })
    }

    /// An entry that breaks rules.
    pub(super) fn invalid(what: &'static str, errors: Vec<String>) -> Self {
        Self::Refused(RegistryError::Invalid { what, errors })
    }

    /// An entry that stands in the way.
    pub(super) fn conflict(detail: String) -> Self {
        Self::Refused(RegistryError::Conflict { detail })
    }
}
