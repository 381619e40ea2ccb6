//! Where files are: the one directory that holds everything, and the names in it.

use std::path::{Path, PathBuf};

/// The directory unless one is configured: what systemd made for the service, else the system's place for state.
pub fn default_directory() -> PathBuf {
    match std::env::var_os("STATE_DIRECTORY") {
        // systemd separates several directories by colons; the unit names one.
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => PathBuf::from("/var/lib/peerlight-collector"),
    }
}

/// The configuration that is read when none is named, if it is there.
pub const DEFAULT_CONFIG: &str = "/etc/peerlight/collector.toml";

/// The batches, the ledger and the rollups.
pub fn store(directory: &Path) -> PathBuf {
    directory.join("store.sqlite")
}

/// The registry.
pub fn registry(directory: &Path) -> PathBuf {
    directory.join("registry.sqlite")
}

/// The CA that agents pin: key and certificate.
pub fn ca(directory: &Path) -> PathBuf {
    directory.join("ca.pem")
}

/// The seed of the ed25519 key that signs answers to agents.
pub fn response_key(directory: &Path) -> PathBuf {
    directory.join("response.key")
}

/// The operator token that this machine's command line uses.
pub fn operator_token(directory: &Path) -> PathBuf {
    directory.join("operator.token")
}
