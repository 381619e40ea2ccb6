//! Files that are whole or absent: written beside their place, synced, then renamed into it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix::adopt;
#[cfg(unix)]
pub use unix::{create_private_directory, sync_directory};
#[cfg(windows)]
use windows::adopt;
#[cfg(windows)]
pub use windows::{create_private_directory, sync_directory};

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

/// Before the names of files that are being written.
const UNFINISHED: &str = ".new-";

/// Replaces `path` with `bytes`, readable by the owner alone. After a crash at any point either the old file or the new
/// one is there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    let mut file = begin(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_directory(directory)
}

/// Creates `path` with `bytes`, readable by the owner alone; never replaces a file that is there.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    let mut file = begin(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|failed| failed.error)?;
    sync_directory(directory)
}

/// A file that is yet to take its place, of whom the directory belongs to.
fn begin(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
    adopt(file.as_file(), directory)?;
    Ok(file)
}

/// Renames `from` to `path`, in the place of what is there. After a crash at any point `path` is the old file or the new one.
pub fn take_place(from: &Path, path: &Path) -> io::Result<()> {
    fs::rename(from, path)?;
    sync_directory(directory_of(path))
}

/// Removes what killed processes left half-written in `directory` so long ago. Whoever writes there now must be faster.
pub fn remove_unfinished(directory: &Path, age: Duration) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && entry.metadata()?.modified()?.elapsed().unwrap_or_default() >= age
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_never_created_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create(&path, b"one").unwrap();
        assert_eq!(create(&path, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at(".new-AbCdEf"), b"half").unwrap();
        create(&at("whole"), b"one").unwrap();
        remove_unfinished(directory.path(), Duration::from_hours(1)).unwrap();
        assert!(at(".new-AbCdEf").exists(), "somebody may still be writing it");
        remove_unfinished(directory.path(), Duration::ZERO).unwrap();
        let left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [at("whole")]);
    }

    #[cfg(unix)]
    #[test]
    fn what_root_makes_in_anothers_directory_belongs_to_the_other() {
        use std::os::unix::fs::{MetadataExt as _, chown};
        const OTHER: u32 = 12_345;
        let directory = tempfile::tempdir().unwrap();
        if chown(directory.path(), Some(OTHER), Some(OTHER)).is_err() {
            eprintln!(
                "skipped: what root makes in another's directory belongs to the other, which only root can show"
            );
            return;
        }
        let path = directory.path().join("file");
        for make in [create, replace] {
            make(&path, b"one").unwrap();
            let made = fs::metadata(&path).unwrap();
            assert_eq!((made.uid(), made.gid()), (OTHER, OTHER));
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_and_directories_are_private_to_their_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/b");
        create_private_directory(&directory).unwrap();
        create(&directory.join("key"), b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join("key"))), (0o700, 0o600));
    }
}
