//! The first run: an operator token for this machine's own command line, kept beside the registry.

use crate::{
    identity::private_file::{self, PrivateFileError},
    paths,
    registry::{Operator, Registry, RegistryError, Role},
};
use peerlight_proto::time::Timestamp;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The name of the token that the collector makes for its own machine.
const TOKEN_NAME: &str = "local";

/// Why there is no operator token.
#[derive(Debug, thiserror::Error)]
pub enum FirstRunError {
    /// The file cannot be read or made.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A file whose token no longer holds cannot be removed.
    #[error("cannot remove {}, whose token no longer holds", path.display())]
    Stale {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The registry refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Makes the token unless the file holds one that the registry knows. A crash between the two steps leaves a token that
/// nobody has; the next run replaces it.
pub fn keep_operator_token(
    registry: &Registry,
    directory: &Path,
    now: Timestamp,
) -> Result<(), FirstRunError> {
    let path = paths::operator_token(directory);
    if let Some(token) = private_file::read(&path)? {
        if registry.operator(token.trim())?.is_some() {
            return Ok(());
        }
        std::fs::remove_file(&path).map_err(|source| FirstRunError::Stale { path: path.clone(), source })?;
    }
    let issued = registry.create_operator_token(TOKEN_NAME, Role::Administrator, &Operator::local(), now)?;
    private_file::create(&path, &format!("{}\n", issued.token))?;
    tracing::info!(path = %path.display(), "made an operator token for this machine");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_again_when_it_no_longer_holds() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&paths::registry(directory.path())).unwrap();
        let read = || std::fs::read_to_string(paths::operator_token(directory.path())).unwrap();
        let keep = || keep_operator_token(&registry, directory.path(), Timestamp::from_secs(1)).unwrap();
        keep();
        let first = read();
        assert!(registry.operator(first.trim()).unwrap().is_some());
        keep();
        assert_eq!(read(), first);
        let revoked = registry.operator_tokens(Operator::local().organisation).unwrap();
        registry.revoke_operator_token(revoked[0].id, &Operator::local(), Timestamp::from_secs(2)).unwrap();
        keep();
        assert_ne!(read(), first);
        assert!(registry.operator(read().trim()).unwrap().is_some());
    }
}
