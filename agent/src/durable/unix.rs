//! Unix: modes and owners.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::Path,
};

/// Gives `file` to whom `directory` belongs to, if root made it there by hand (`enrol`): the agent that runs under an account of
/// its own must be able to read it.
pub(super) fn adopt(file: &fs::File, directory: &Path) -> io::Result<()> {
    let (home, made) = (fs::metadata(directory)?, file.metadata()?);
    if made.uid() == 0 && home.uid() != 0 {
        fchown(file, Some(home.uid()), Some(home.gid()))?;
    }
    Ok(())
}

/// Makes renames and removals in `directory` durable.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Creates `directory` and its parents; it alone becomes private to the owner.
pub fn create_private_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}
