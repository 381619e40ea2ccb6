//! Windows: access lists, which files inherit from their directory, and the file system's journal.

use crate::{access, service};
use std::{fs, io, path::Path};

/// What is made in a directory has that directory's access list, whoever makes it.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(super) fn adopt(_file: &fs::File, _directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Windows opens no directory as a file; there the file system's journal orders renames and removals.
pub fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates `directory` and its parents; it alone becomes private: to its owner, the service, the system and administrators.
pub fn create_private_directory(directory: &Path) -> io::Result<()> {
    access::make_private(directory, service::NAME)
}
