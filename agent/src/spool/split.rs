//! Splitting: one batch becomes two parts that say so, whatever instant a crash picks.
//!
//! The parts are written under pending names, then the parent is renamed (from here on the split has happened), then
//! the parts take their names, then the parent goes. Recovery finishes or undoes by looking at the parent's name.

use super::{
    Draft, Key, Spool, SpoolError, Waiting, directory::Directory, disk, key::file_name, record::Record,
};
use peerlight_proto::{
    batch::Part,
    codec::{decode_batch, encode_batch},
    time::Timestamp,
};
use std::fs;

/// Behind the name of a parent whose parts are all on disk.
const DONE: &str = ".split";
/// Behind the name of a part that does not count yet; the parent's name and a `+` stand before its own.
const PENDING: &str = ".pending";

pub(super) fn split(spool: &mut Spool, waiting: &Waiting, created: Timestamp) -> Result<bool, SpoolError> {
    // The bytes are ours and were checked against their digest.
    let Ok(decoded) = decode_batch(&waiting.bytes) else { return Ok(false) };
    if decoded.batch.measurements.len() < 2 {
        return Ok(false);
    }
    let offset_us = decoded.batch.clock_offset_us;
    let draft = Draft::of(decoded.batch);
    let mut parts: Vec<(Key, u64)> = Vec::new();
    let parent = file_name(waiting.key);
    for (index, half) in (0..).zip(draft.halves()) {
        let mut batch = spool.batch(half, created, offset_us);
        batch.part = Some(Part {
            session: waiting.number.session,
            sequence: waiting.number.sequence,
            digest: waiting.digest,
            index,
            count: 2,
        });
        spool.next_sequence += 1;
        let bytes = encode_batch(&batch).map_err(SpoolError::Encode)?;
        let record = Record::new(&batch, &bytes);
        let key = record.key();
        let name = format!("{parent}+{}{PENDING}", file_name(key));
        parts.push((key, spool.directory.write(&name, &record)?));
    }
    let path = spool.directory.batch(waiting.key);
    fs::rename(&path, spool.directory.file(&format!("{parent}{DONE}"))).map_err(disk("rename", &path))?;
    spool.directory.sync()?;
    recover(&spool.directory)?;
    spool.forget(waiting.key);
    for (key, bytes) in parts {
        spool.remember(key, bytes);
    }
    Ok(true)
}

/// Finishes splits whose parent was renamed and undoes the others.
pub(super) fn recover(directory: &Directory) -> Result<(), SpoolError> {
    let names = directory.names()?;
    let done: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(DONE)).collect();
    for name in &names {
        let Some((parent, part)) = name.strip_suffix(PENDING).and_then(|name| name.split_once('+')) else {
            continue;
        };
        let path = directory.file(name);
        if done.contains(&parent) {
            fs::rename(&path, directory.file(part)).map_err(disk("rename", &path))?;
        } else {
            fs::remove_file(&path).map_err(disk("remove", &path))?;
        }
    }
    directory.sync()?;
    for parent in done {
        let path = directory.file(&format!("{parent}{DONE}"));
        fs::remove_file(&path).map_err(disk("remove", &path))?;
    }
    Ok(())
}
