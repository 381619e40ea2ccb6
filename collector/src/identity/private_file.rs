//! Files that only their owner reads, which appear whole or not at all.

use super::IdentityError;
use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// A private file that cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct PrivateFileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> PrivateFileError {
    move |source| PrivateFileError { operation, path: path.to_owned(), source }
}

/// Makes the directory, for its owner only, unless it is there. What is kept in it outlives a power cut only if its own
/// name does.
pub(crate) fn create_directory(path: &Path) -> Result<(), PrivateFileError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed("make the directory", path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("make the directory", path))
}

/// Reads the file, or makes it of what `content` returns.
pub(super) fn read_or_create(
    path: &Path,
    content: impl FnOnce() -> Result<String, IdentityError>,
) -> Result<String, IdentityError> {
    if let Some(text) = read(path)? {
        return Ok(text);
    }
    let text = content()?;
    create(path, &text)?;
    Ok(text)
}

/// What the file holds; none if there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, PrivateFileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Makes the file; it is an error if it is there already.
pub(crate) fn create(path: &Path, text: &str) -> Result<(), PrivateFileError> {
    let failed = failed("make", path);
    let directory = path.parent().unwrap_or(Path::new("."));
    // Temporary files are born with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(&failed)?;
    file.write_all(text.as_bytes()).map_err(&failed)?;
    file.as_file().sync_all().map_err(&failed)?;
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(&failed)
}
