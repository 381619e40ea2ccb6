//! Whom HTTPS probes believe.

use std::path::PathBuf;

/// Whose certificates HTTPS targets may have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Those that the operating system trusts.
    #[default]
    Platform,
    /// Those under the CA certificates in this PEM file.
    File(PathBuf),
}
