//! What a power cut leaves of files: a pure model of a disk, and what it promises.
//!
//! - What was written before a sync of its file has returned is there. Of what was written since, nothing is promised: each
//!   sector of 512 bytes holds what it held after any one of the changes, whatever its neighbours hold; so writes may be
//!   lost, reordered, or torn between sectors, and the last one within a sector. A length is one that the file has had.
//! - Sectors that no write touched keep what they held (SQLite's "power-safe overwrite").
//! - A name is there, or gone, for certain once its directory is synced. SQLite does that with the first sync of a log or
//!   journal that it has made, and where it says so when it deletes one. Until then each name is as it was after any one
//!   of the changes.

use super::vfs::{Event, FileId};
use rand::{RngExt as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    path::{Path, PathBuf},
};

const SECTOR: usize = 512;

/// What happens to that which was not synced.
#[derive(Debug)]
pub(super) enum Fate<'r> {
    /// All of it is lost.
    Lost,
    /// All of it is there.
    Kept,
    /// All of it is there but the last write of each file, which is torn anywhere.
    Torn(&'r mut StdRng),
    /// Everything is there up to a random change of each file.
    Prefix(&'r mut StdRng),
    /// Each sector and each name is as it was after any one of the changes.
    Scattered(&'r mut StdRng),
}

#[derive(Debug)]
enum Change<'e> {
    Written(usize, &'e [u8]),
    Truncated(usize),
}

#[derive(Debug, Default)]
struct File<'e> {
    synced: Vec<u8>,
    since: Vec<Change<'e>>,
}

/// A disk, as far as it is known what it holds.
#[derive(Debug, Default)]
pub(super) struct Disk<'e> {
    files: HashMap<FileId, File<'e>>,
    names: BTreeMap<&'e Path, FileId>,
    /// Which file each name has since come to mean.
    renamed: Vec<(&'e Path, Option<FileId>)>,
}

impl<'e> Disk<'e> {
    /// What an event does.
    pub(super) fn take(&mut self, event: &'e Event) {
        match event {
            Event::Created(file, name) => {
                self.files.insert(*file, File::default());
                self.renamed.push((name, Some(*file)));
            }
            Event::Deleted { name, synced } => {
                self.renamed.push((name, None));
                if *synced {
                    self.sync_names();
                }
            }
            Event::Written { file, at, bytes } => self.change(*file, Change::Written(*at, bytes)),
            Event::Truncated(file, to) => self.change(*file, Change::Truncated(*to)),
            Event::Synced(file) => self.sync(*file),
        }
    }

    fn change(&mut self, file: FileId, change: Change<'e>) {
        self.files.entry(file).or_default().since.push(change);
    }

    fn sync(&mut self, file: FileId) {
        let there = self.files.entry(file).or_default();
        there.synced = there.after(&mut Fate::Kept);
        there.since.clear();
        let is_log = |name: &Path| {
            let name = name.as_os_str().as_encoded_bytes();
            name.ends_with(b"-wal") || name.ends_with(b"-journal")
        };
        if self.renamed.iter().any(|(name, new)| *new == Some(file) && is_log(name)) {
            self.sync_names();
        }
    }

    fn sync_names(&mut self) {
        for (name, file) in self.renamed.drain(..) {
            rename(&mut self.names, name, file);
        }
    }

    /// What is found of files and their names when the power is back.
    pub(super) fn after_the_cut(&self, mut fate: Fate<'_>) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.names.clone();
        // Names are few: each is as it was after any one of the changes, or after all or none.
        let mut until: HashMap<&Path, usize> = HashMap::new();
        for (number, (name, file)) in self.renamed.iter().enumerate() {
            let until = *until.entry(name).or_insert_with(|| match &mut fate {
                Fate::Lost => 0,
                Fate::Kept | Fate::Torn(_) => self.renamed.len(),
                Fate::Prefix(random) | Fate::Scattered(random) => random.random_range(0..=self.renamed.len()),
            });
            if number < until {
                rename(&mut names, name, *file);
            }
        }
        names.into_iter().map(|(name, file)| (name.to_owned(), self.files[&file].after(&mut fate))).collect()
    }
}

fn rename<'e>(names: &mut BTreeMap<&'e Path, FileId>, name: &'e Path, file: Option<FileId>) {
    match file {
        Some(file) => names.insert(name, file),
        None => names.remove(name),
    };
}

impl File<'_> {
    fn after(&self, fate: &mut Fate<'_>) -> Vec<u8> {
        let count = self.since.len();
        match fate {
            Fate::Lost => self.synced.clone(),
            Fate::Kept => self.applied(count),
            Fate::Prefix(random) => self.applied(random.random_range(0..=count)),
            Fate::Torn(random) => {
                let Some((Change::Written(at, bytes), before)) = self.since.split_last() else {
                    return self.applied(count);
                };
                let mut found = self.applied(before.len());
                overwrite(&mut found, *at, &bytes[..random.random_range(0..=bytes.len())]);
                found
            }
            Fate::Scattered(random) => self.scattered(random),
        }
    }

    /// What it held after so many changes.
    fn applied(&self, count: usize) -> Vec<u8> {
        let mut found = self.synced.clone();
        for change in &self.since[..count] {
            match change {
                Change::Written(at, bytes) => overwrite(&mut found, *at, bytes),
                Change::Truncated(to) => found.resize(*to, 0),
            }
        }
        found
    }

    fn scattered(&self, random: &mut StdRng) -> Vec<u8> {
        let count = self.since.len();
        let mut until: HashMap<usize, usize> = HashMap::new();
        let mut found = self.synced.clone();
        let (mut length, mut lengths) = (found.len(), vec![found.len()]);
        for (number, change) in self.since.iter().enumerate() {
            let (at, bytes, end) = match change {
                Change::Written(at, bytes) => (*at, Some(*bytes), at + bytes.len()),
                Change::Truncated(to) => (*to, None, found.len().max(*to)),
            };
            length = if bytes.is_some() { length.max(end) } else { at };
            lengths.push(length);
            found.resize(found.len().max(end), 0);
            for part in sectors(at..end) {
                let until =
                    *until.entry(part.start / SECTOR).or_insert_with(|| random.random_range(0..=count));
                if number < until {
                    match bytes {
                        Some(bytes) => {
                            overwrite(&mut found, part.start, &bytes[part.start - at..part.end - at])
                        }
                        None => found[part].fill(0),
                    }
                }
            }
        }
        found.resize(lengths[random.random_range(0..lengths.len())], 0);
        found
    }
}

/// The parts of a range that lie in one sector each.
fn sectors(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let Range { start, end } = range;
    (start / SECTOR..end.div_ceil(SECTOR))
        .map(move |sector| start.max(sector * SECTOR)..end.min((sector + 1) * SECTOR))
}

fn overwrite(found: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if found.len() < end {
        found.resize(end, 0);
    }
    found[at..end].copy_from_slice(bytes);
}
