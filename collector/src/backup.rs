//! Backups: a copy of everything that the collector keeps, taken while it runs, and the way back.
//!
//! The store is copied before the registry, each as it was at one instant: whatever a measurement refers to in the registry
//! is in the copy. What was acknowledged after that instant is not; agents keep acknowledged batches for a day and send
//! them again when they are told to, and the ledger makes that safe.

use crate::{
    identity::private_file::{self, PrivateFileError},
    paths, rfc3339,
    store::{self, SqliteStore, StoreError, Verification, crash_point::crash_point},
};
use peerlight_proto::time::Timestamp;
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// How many pages are copied between two words of progress.
const PAGES: i32 = 4_096;

/// Why there is no backup, or no way back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to back up, or to restore.
    #[error("{} holds no collector's files: there is no {}", directory.display(), missing.display())]
    NothingThere {
        /// Where they were looked for.
        directory: PathBuf,
        /// What is missing.
        missing: PathBuf,
    },
    /// A backup never overwrites.
    #[error("{} is there already; name a directory that is not", .0.display())]
    AlreadyThere(PathBuf),
    /// A database could not be copied.
    #[error("cannot copy {}", path.display())]
    Copy {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file could not be written or moved.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A private file cannot be read or made.
    #[error(transparent)]
    Private(#[from] PrivateFileError),
    /// The store cannot be read, or belongs to a running collector.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backup is not sound.
    #[error("the backup is not sound, nothing was changed:\n  {}", .0.join("\n  "))]
    Unsound(Vec<String>),
}

/// What was backed up, or restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Where it is now.
    pub directory: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// When the newest batch in it was received.
    pub newest_received: Option<Timestamp>,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The copy.
    pub copied: Copied,
    /// What verifying it found.
    pub verified: Verification,
    /// Where the files are that it replaced, if there were any.
    pub replaced: Option<PathBuf>,
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |source| BackupError::File { operation, path: path.to_owned(), source }
}

/// Copies everything in `from`, whether or not a collector runs there, to `to`, which appears whole or not at all.
/// `progress` is told how many of how many pages of a database are done.
pub fn back_up(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Copied, BackupError> {
    if to.exists() {
        return Err(BackupError::AlreadyThere(to.to_owned()));
    }
    let partial = to.with_added_extension("partial");
    if partial.exists() {
        // Of a backup that was interrupted.
        fs::remove_dir_all(&partial).map_err(failed("remove", &partial))?;
    }
    let copied = copy(from, &partial, progress)?;
    crash_point("backup-copied");
    fs::rename(&partial, to).map_err(failed("name", to))?;
    sync_directory(to.parent().unwrap_or(Path::new(".")))?;
    Ok(Copied { directory: to.to_owned(), ..copied })
}

/// Puts a backup in the place of what is in `to`, where no collector may run. What was there is moved aside, not removed.
/// Nothing is changed unless the backup is sound.
pub fn restore(
    from: &Path,
    to: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    present(from)?;
    private_file::create_directory(to)?;
    let _owner = store::lock(&paths::store(to))?;
    let verified = SqliteStore::verify(&paths::store(from), progress)?;
    if verified.faults > 0 {
        return Err(BackupError::Unsound(verified.told));
    }
    let incoming = to.join("incoming");
    if incoming.exists() {
        fs::remove_dir_all(&incoming).map_err(failed("remove", &incoming))?;
    }
    let copied = copy(from, &incoming, progress)?;
    let replaced = move_aside(to, now)?;
    for file in files(&incoming)? {
        let place = to.join(file.file_name().unwrap_or_default());
        fs::rename(&file, &place).map_err(failed("move", &file))?;
    }
    fs::remove_dir(&incoming).map_err(failed("remove", &incoming))?;
    sync_directory(to)?;
    Ok(Restored { copied: Copied { directory: to.to_owned(), ..copied }, verified, replaced })
}

fn present(directory: &Path) -> Result<(), BackupError> {
    for file in [paths::store(directory), paths::registry(directory), paths::ca(directory)] {
        if !file.exists() {
            return Err(BackupError::NothingThere { directory: directory.to_owned(), missing: file });
        }
    }
    Ok(())
}

/// Copies databases and keys into a directory that is made for it.
fn copy(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Copied, BackupError> {
    present(from)?;
    private_file::create_directory(to)?;
    for database in [paths::store, paths::registry] {
        copy_database(&database(from), &database(to), progress)?;
    }
    for key in [paths::ca, paths::response_key] {
        if let Some(text) = private_file::read(&key(from))? {
            private_file::create(&key(to), &text)?;
        }
    }
    sync_directory(to)?;
    let mut bytes = 0;
    for file in files(to)? {
        bytes += fs::metadata(&file).map_err(failed("read", &file))?.len();
    }
    let newest_received = SqliteStore::newest_received(&paths::store(to))?;
    Ok(Copied { directory: to.to_owned(), bytes, newest_received })
}

fn copy_database(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), BackupError> {
    let mut copying = || -> rusqlite::Result<()> {
        let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // One instant: whatever the collector writes meanwhile is not seen, and does not make the copy begin anew.
        source.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 10000; BEGIN")?;
        source.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(()))?;
        let mut target = Connection::open(to)?;
        target.execute_batch("PRAGMA synchronous = FULL")?;
        let backup = Backup::new(&source, &mut target)?;
        loop {
            let step = backup.step(PAGES)?;
            let done = backup.progress();
            let pages = |count: i32| u64::from(count.unsigned_abs());
            progress(pages(done.pagecount - done.remaining), pages(done.pagecount));
            if step == StepResult::Done {
                return Ok(());
            }
        }
    };
    copying().map_err(|source| BackupError::Copy { path: from.to_owned(), source })?;
    let copy = File::open(to).and_then(|file| {
        private(&file)?;
        file.sync_all()
    });
    copy.map_err(failed("write", to))
}

#[cfg(unix)]
fn private(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
fn private(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Moves what a collector kept here into a directory of its own. None if there was nothing.
fn move_aside(directory: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let lock = paths::store(directory).with_added_extension("lock");
    let mut old = files(directory)?;
    old.retain(|file| *file != lock);
    if old.is_empty() {
        return Ok(None);
    }
    let aside = directory.join(format!("replaced-{}", rfc3339::seconds(now).replace(':', "")));
    private_file::create_directory(&aside)?;
    for file in old {
        let place = aside.join(file.file_name().unwrap_or_default());
        fs::rename(&file, place).map_err(failed("move", &file))?;
    }
    Ok(Some(aside))
}

/// The files of a directory, not those below it.
fn files(directory: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    };
    read().map_err(failed("list", directory))
}

fn sync_directory(directory: &Path) -> Result<(), BackupError> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("write", directory))
}

#[cfg(test)]
mod tests;
