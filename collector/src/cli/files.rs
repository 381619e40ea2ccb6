//! `backup`, `verify` and `restore`: what is done with the files themselves, whether or not a collector runs.

use super::{BackupArgs, ChangeOptions, Format, Output, RestoreArgs, VerifyArgs, output::or_dash};
use crate::{
    backup::{self, Copied},
    clock::Clock,
    config::Config,
    paths, rfc3339,
    store::{SqliteStore, Verification},
};
use anyhow::bail;
use bytesize::ByteSize;
use peerlight_proto::time::Timestamp;
use serde_json::{Value, json};
use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long agents keep what was acknowledged (rules, §6).
const AGENTS_KEEP_HOURS: u64 = 24;
/// How often a terminal is told how far it got.
const EVERY: Duration = Duration::from_millis(200);

/// Backs up the collector of this configuration.
pub fn back_up(args: &BackupArgs, config: &Config, output: &mut Output<'_>) -> anyhow::Result<()> {
    let mut progress = Progress::new("copied", "pages");
    let copied =
        backup::back_up(&config.store.directory, &args.directory, &mut |done, of| progress.tell(done, of));
    progress.end();
    let copied = copied?;
    let sentence = format!(
        "backed up to {}: {}; the newest batch in it was received at {}",
        copied.directory.display(),
        ByteSize(copied.bytes).display().si(),
        or_dash(copied.newest_received.map(rfc3339::seconds)),
    );
    print(args.change, &as_json(&copied), &sentence, output)
}

/// Verifies the collector's store, or a backup.
pub fn verify(args: &VerifyArgs, config: &Config, output: &mut Output<'_>) -> anyhow::Result<()> {
    let directory = args.directory.as_ref().unwrap_or(&config.store.directory);
    let mut progress = Progress::new("verified", "steps");
    let found = SqliteStore::verify(&paths::store(directory), &mut |done, of| progress.tell(done, of));
    progress.end();
    let found = found?;
    let mut document = verified_as_json(&found);
    document["directory"] = json!(directory);
    let sentence = format!(
        "{}: {} histograms in {} segments, {} rollups compared, {} batches in the log, {} entries in the ledger: {}",
        directory.display(),
        found.histograms,
        found.segments,
        found.rollups,
        found.log_batches,
        found.ledger_entries,
        if found.faults == 0 { "sound".to_owned() } else { format!("{} faults", found.faults) },
    );
    print(args.change, &document, &sentence, output)?;
    if found.faults > 0 {
        bail!("the store is not sound:\n  {}", found.told.join("\n  "));
    }
    Ok(())
}

/// Restores a backup.
pub fn restore(args: &RestoreArgs, config: &Config, output: &mut Output<'_>) -> anyhow::Result<()> {
    let mut progress = Progress::new("done", "steps");
    let now = Clock::system().now();
    let restored = backup::restore(&args.directory, &config.store.directory, now, &mut |done, of| {
        progress.tell(done, of);
    });
    progress.end();
    let restored = restored?;
    let mut document = as_json(&restored.copied);
    document["verified"] = verified_as_json(&restored.verified);
    document["replaced"] = json!(restored.replaced);
    let aside = |replaced: &PathBuf| format!("; what was there is in {}", replaced.display());
    let sentence = format!(
        "restored {} to {}{}",
        args.directory.display(),
        config.store.directory.display(),
        restored.replaced.as_ref().map(aside).unwrap_or_default(),
    );
    print(args.change, &document, &sentence, output)?;
    let Some(received) = restored.copied.newest_received else { return Ok(()) };
    output.note(&what_is_missing(received, now))
}

/// What a restored backup lacks, and how to get back what can be.
fn what_is_missing(received: Timestamp, now: Timestamp) -> String {
    // An hour more than it takes: what is there already does not count twice.
    let hours = now.since(received).as_secs().div_ceil(3_600) + 1;
    let lost = if hours > AGENTS_KEEP_HOURS { "; what was acknowledged earlier is lost" } else { "" };
    format!(
        "What was acknowledged after {} is not in it. Agents keep acknowledged batches for a day: start the collector, \
         then run `peerlight-agent resend --since {}h` on each{lost}. What is there already does not count twice.",
        rfc3339::seconds(received),
        hours.min(AGENTS_KEEP_HOURS),
    )
}

fn print(
    options: ChangeOptions,
    document: &Value,
    sentence: &str,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match options.format {
        Format::Json => output.json(document),
        Format::Table => output.line(sentence),
    }
}

fn as_json(copied: &Copied) -> Value {
    json!({
        "directory": copied.directory,
        "bytes": copied.bytes,
        "newest_received": copied.newest_received.map(rfc3339::text),
    })
}

fn verified_as_json(found: &Verification) -> Value {
    json!({
        "segments": found.segments,
        "histograms": found.histograms,
        "log_batches": found.log_batches,
        "ledger_entries": found.ledger_entries,
        "rollups": found.rollups,
        "faults": found.faults,
        "first_faults": found.told,
    })
}

/// Tells a terminal how far it got, in one line that is gone at the end.
struct Progress {
    verb: &'static str,
    unit: &'static str,
    told: Option<Instant>,
    terminal: bool,
}

impl Progress {
    fn new(verb: &'static str, unit: &'static str) -> Self {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self { verb, unit, told: None, terminal }
    }

    #[expect(clippy::disallowed_methods, reason = "how often a line is drawn, no measurement")]
    fn tell(&mut self, done: u64, of: u64) {
        let now = Instant::now();
        if self.terminal && self.told.is_none_or(|told| now - told >= EVERY) {
            self.told = Some(now);
            // A terminal that is gone is told nothing.
            let _ = write!(std::io::stderr(), "\r\x1b[K{} {done} of {of} {}", self.verb, self.unit);
        }
    }

    fn end(&mut self) {
        if self.told.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_how_to_get_it_back() {
        let received = Timestamp::from_secs(1_800_000_000);
        let after = |hours: u64| what_is_missing(received, received.plus(Duration::from_hours(hours)));
        assert_eq!(
            after(3),
            "What was acknowledged after 2027-01-15T08:00:00Z is not in it. Agents keep acknowledged batches for a day: \
             start the collector, then run `peerlight-agent resend --since 4h` on each. What is there already does not \
             count twice."
        );
        assert!(after(60).contains(
            "`peerlight-agent resend --since 24h` on each; what was acknowledged earlier is lost."
        ));
    }
}
