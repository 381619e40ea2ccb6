//! Acknowledged batches: kept for a day, so that a collector that was restored from a backup can be told again.

use super::{
    SpoolError,
    directory::Directory,
    disk,
    key::{Key, file_name, parse_file_name},
};
use peerlight_proto::time::Timestamp;
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

/// A file in the spool by which `resend` asks the running agent; it holds the instant in microseconds.
pub const RESEND_REQUEST: &str = "resend.request";

/// Moves a batch that was acknowledged at `now`; its modification time says when.
pub(super) fn keep(directory: &Directory, key: Key, now: Timestamp) -> Result<(), SpoolError> {
    let from = directory.batch(key);
    let file = File::options().write(true).open(&from).map_err(disk("open", &from))?;
    let since_epoch = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
    file.set_modified(SystemTime::UNIX_EPOCH + since_epoch).map_err(disk("date", &from))?;
    fs::rename(&from, directory.acknowledged().join(file_name(key))).map_err(disk("keep", &from))?;
    directory.sync()
}

/// Moves the batches back that were acknowledged since `since`.
pub(super) fn restore(directory: &Directory, since: Timestamp) -> Result<u64, SpoolError> {
    let mut again = 0;
    for kept in list(&directory.acknowledged())? {
        if kept.acknowledged >= since {
            let from = directory.acknowledged().join(&kept.name);
            fs::rename(&from, directory.file(&kept.name)).map_err(disk("restore", &from))?;
            again += 1;
        }
    }
    directory.sync()?;
    Ok(again)
}

/// Removes the batches that were acknowledged before `before`, and the oldest beyond `max_bytes`.
pub(super) fn prune(directory: &Directory, before: Timestamp, max_bytes: u64) -> Result<(), SpoolError> {
    let acknowledged = directory.acknowledged();
    let mut kept = list(&acknowledged)?;
    kept.sort_unstable_by_key(|kept| kept.acknowledged);
    let mut bytes: u64 = kept.iter().map(|kept| kept.bytes).sum();
    for kept in kept {
        if kept.acknowledged >= before && bytes <= max_bytes {
            break;
        }
        bytes -= kept.bytes;
        let path = acknowledged.join(&kept.name);
        fs::remove_file(&path).map_err(disk("remove", &path))?;
    }
    Ok(())
}

struct Kept {
    name: String,
    acknowledged: Timestamp,
    bytes: u64,
}

fn list(directory: &Path) -> Result<Vec<Kept>, SpoolError> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory).map_err(disk("list", directory))? {
        let entry = entry.map_err(disk("list", directory))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if parse_file_name(&name).is_none() {
            continue;
        }
        let metadata = entry.metadata().map_err(disk("inspect", &entry.path()))?;
        let modified = metadata.modified().map_err(disk("inspect", &entry.path()))?;
        let since_epoch = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let acknowledged = Timestamp::default().plus(since_epoch);
        kept.push(Kept { name, acknowledged, bytes: metadata.len() });
    }
    Ok(kept)
}
