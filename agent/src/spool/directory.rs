//! The spool's directory: batches as files, each whole or absent. It knows neither order nor bounds.

use super::{
    SpoolError, disk,
    given_up::Going,
    key::{Key, file_name, parse_file_name},
    record::Record,
};
use crate::durable;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

const ACKNOWLEDGED: &str = "acknowledged";
const LOCK: &str = "lock";
/// How much of the batches of a kind that were set aside is kept for whoever wants to know what happened to them.
const MAX_APART_BYTES: u64 = 16 << 20;

/// Why a batch was set aside: each kind has its own directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Apart {
    /// It is torn or corrupt.
    Corrupt,
    /// The collector finds even a single measurement too large.
    TooLarge,
}

impl Apart {
    const fn directory(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too-large",
        }
    }
}

/// The directory, while this process owns it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Held while this process owns the spool.
    lock: Option<File>,
}

impl Directory {
    /// Takes the directory at `path` for this process alone, without the files that a crash left unfinished.
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        let apart = [ACKNOWLEDGED, Apart::Corrupt.directory(), Apart::TooLarge.directory()];
        for part in std::iter::once(path.to_owned()).chain(apart.map(|name| path.join(name))) {
            durable::create_private_directory(&part).map_err(disk("create", &part))?;
        }
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(disk("open", &lock_path))?;
        lock.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => SpoolError::InUse(path.to_owned()),
            TryLockError::Error(error) => disk("lock", &lock_path)(error),
        })?;
        // The lock says that nobody is writing.
        durable::remove_unfinished(path, Duration::ZERO).map_err(disk("tidy", path))?;
        Ok(Self { path: path.to_owned(), lock: Some(lock) })
    }

    /// Gives the directory up, so that another process may open it.
    pub(super) fn close(&mut self) {
        self.lock = None;
    }

    /// Whether this process has given it up.
    pub(super) fn is_closed(&self) -> bool {
        self.lock.is_none()
    }

    /// The file of this name.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file of the waiting batch with this key.
    pub(super) fn batch(&self, key: Key) -> PathBuf {
        self.file(&file_name(key))
    }

    /// Where acknowledged batches are.
    pub(super) fn acknowledged(&self) -> PathBuf {
        self.file(ACKNOWLEDGED)
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Result<Vec<String>, SpoolError> {
        let entries = fs::read_dir(&self.path).map_err(disk("list", &self.path))?;
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().into_string().ok()).map_err(disk("list", &self.path))
        };
        entries.filter_map(|entry| name(entry).transpose()).collect()
    }

    /// The waiting batches with their lengths, by name alone: contents are checked when they are read.
    pub(super) fn batches(&self) -> Result<Vec<(Key, u64)>, SpoolError> {
        let keys = self.names()?.into_iter().filter_map(|name| parse_file_name(&name));
        keys.map(|key| {
            let path = self.batch(key);
            Ok((key, fs::metadata(&path).map_err(disk("inspect", &path))?.len()))
        })
        .collect()
    }

    /// Writes a batch durably under `name`; says how long the file is.
    pub(super) fn write(&self, name: &str, record: &Record) -> Result<u64, SpoolError> {
        let (path, file) = (self.file(name), record.to_file());
        durable::create(&path, &file).map_err(disk("write", &path))?;
        Ok(file.len() as u64)
    }

    /// What is in the file of a batch; none if there is no file.
    pub(super) fn read(&self, key: Key) -> Result<Option<Vec<u8>>, SpoolError> {
        let path = self.batch(key);
        match fs::read(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk("read", &path)(error)),
        }
    }

    /// Removes files, or puts them where they do no harm; durably, once all are gone. Those that are gone already are no
    /// fault.
    pub(super) fn let_go(&self, going: &[Going]) -> Result<(), SpoolError> {
        for Going { name, apart } in going {
            let from = self.file(name);
            let gone = match apart {
                None => fs::remove_file(&from),
                Some(apart) => fs::rename(&from, self.file(apart.directory()).join(name)),
            };
            match gone {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(disk("remove", &from)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.sync()?;
        for apart in [Apart::Corrupt, Apart::TooLarge] {
            if going.iter().any(|going| going.apart == Some(apart)) {
                bound(&self.file(apart.directory()), MAX_APART_BYTES)?;
            }
        }
        Ok(())
    }

    /// Makes renames and removals durable.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        durable::sync_directory(&self.path).map_err(disk("sync", &self.path))
    }
}

/// Removes the oldest files beyond so many bytes. Names sort by age.
fn bound(directory: &Path, max_bytes: u64) -> Result<(), SpoolError> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut paths: Vec<_> =
        entries.map_err(disk("list", directory))?.iter().map(fs::DirEntry::path).collect();
    paths.sort_unstable();
    let mut bytes = 0;
    for path in paths.iter().rev() {
        bytes += fs::metadata(path).map_err(disk("inspect", path))?.len();
        if bytes > max_bytes {
            fs::remove_file(path).map_err(disk("remove", path))?;
        }
    }
    Ok(())
}
