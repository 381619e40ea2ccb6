//! Where captures are kept: one JSON file each, the newest 64 of them.

use super::Capture;
use crate::durable;
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// How many are kept.
const MOST: usize = 64;
/// No capture is longer: 30 hops of three answers each are some 20 KiB.
const LONGEST: u64 = 256 << 10;
const EXTENSION: &str = "json";

/// The directory of captures.
#[derive(Debug, Clone)]
pub(super) struct Shelf(PathBuf);

impl Shelf {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Keeps a capture, and as many of the older ones as there is room for.
    pub(super) fn keep(&self, capture: &Capture) -> io::Result<()> {
        durable::create_private_directory(&self.0)?;
        // The name orders by time; the address tells apart what was captured in the same microsecond.
        let address = capture.path.address.to_string().replace(':', "-");
        let file = format!("{:020}-{address}.{EXTENSION}", capture.taken_us);
        durable::replace(&self.0.join(file), &serde_json::to_vec_pretty(capture)?)?;
        let files = self.files()?;
        for file in files.iter().take(files.len().saturating_sub(MOST)) {
            fs::remove_file(file)?;
        }
        Ok(())
    }

    /// All captures, the oldest first, and what cannot be read of them.
    pub(super) fn all(&self) -> io::Result<(Vec<Capture>, Vec<String>)> {
        let (mut captures, mut unreadable) = (Vec::new(), Vec::new());
        for file in self.files()? {
            match read(&file) {
                Ok(capture) => captures.push(capture),
                Err(error) => unreadable.push(format!("{}: {error}", file.display())),
            }
        }
        Ok((captures, unreadable))
    }

    /// The files in the order of time.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
        let is_capture = |path: &PathBuf| {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            !hidden && path.extension().is_some_and(|extension| extension == EXTENSION)
        };
        let mut files: Vec<_> = paths.into_iter().filter(is_capture).collect();
        files.sort_unstable();
        Ok(files)
    }
}

fn read(file: &Path) -> io::Result<Capture> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captures::fixture::capture;

    #[test]
    fn the_newest_64_are_kept_in_the_order_of_time() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path().join("captures"));
        assert_eq!(shelf.all().unwrap(), (vec![], vec![]), "nothing yet");
        for second in [70, 3, 69] {
            shelf.keep(&capture(second)).unwrap();
        }
        for second in 4..69 {
            shelf.keep(&capture(second)).unwrap();
        }
        let (kept, unreadable) = shelf.all().unwrap();
        let expected: Vec<_> = (7..71).map(capture).collect();
        assert_eq!((kept, unreadable), (expected, vec![]));
    }

    #[test]
    fn what_is_no_capture_is_named_and_harms_none() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path().to_owned());
        shelf.keep(&capture(1)).unwrap();
        fs::write(directory.path().join("0.json"), "{").unwrap();
        fs::write(directory.path().join("1.json"), vec![b' '; 1 << 20]).unwrap();
        fs::write(directory.path().join(".new-2.json"), "half").unwrap();
        fs::write(directory.path().join("note.txt"), "mine").unwrap();
        let (kept, unreadable) = shelf.all().unwrap();
        assert_eq!(kept, [capture(1)]);
        assert_eq!(unreadable.len(), 2, "{unreadable:?}");
    }
}
