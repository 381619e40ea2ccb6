//! `storage`.

use super::{Format, ListOptions, Output, output::or_dash};
use crate::{client::Client, rfc3339, storage::Storage};
use bytesize::ByteSize;

const PATH: &str = "/api/v1/storage";

pub(super) async fn run(
    options: ListOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let storage: Storage = client.get(PATH, &[]).await?;
    if options.format == Format::Json {
        return output.json(&storage);
    }
    show(&storage, output)
}

fn show(storage: &Storage, output: &mut Output<'_>) -> anyhow::Result<()> {
    let rows = storage.resolutions.iter().map(|one| {
        [
            one.name.replace('_', " "),
            one.histograms.to_string(),
            size(one.bytes),
            or_dash(one.bytes_per_histogram.map(|bytes| format!("{bytes:.2}"))),
            or_dash(one.oldest.map(rfc3339::seconds)),
            or_dash(one.dropped_at.map(rfc3339::seconds)),
            size(one.bytes_per_day),
            size(one.full_bytes),
        ]
    });
    let header =
        ["resolution", "histograms", "size", "bytes each", "oldest", "dropped at", "a day", "when full"];
    output.table(&header, rows, "")?;
    output.line("")?;
    let rows = storage.providers.iter().map(|one| {
        [
            one.provider.clone(),
            one.histograms.to_string(),
            size(one.bytes),
            or_dash(one.bytes_per_histogram.map(|bytes| format!("{bytes:.2}"))),
        ]
    });
    let nothing = "nothing has been measured, or it has not been folded into segments yet";
    output.table(&["provider, that day", "histograms", "size", "bytes each"], rows, nothing)?;
    output.line("")?;
    let free = or_dash(storage.disk_free_bytes.map(size));
    for (what, value) in [
        ("a day is", or_dash(storage.newest_day.map(rfc3339::seconds))),
        ("batches in the log", format!("{}, {}", storage.log.rows, size(storage.log.bytes))),
        ("entries in the ledger", format!("{}, {}", storage.ledger.rows, size(storage.ledger.bytes))),
        ("the file", format!("{}, of it free {}", size(storage.file_bytes), size(storage.file_free_bytes))),
        ("free on the disk", free),
        ("when every retention is full", size(storage.forecast.full_bytes)),
        (
            "the disk will be full",
            storage.forecast.days_until_disk_is_full.map_or_else(
                || "not before".to_owned(),
                |days| format!("in {days} days: shorten the [retention] or move to a larger disk"),
            ),
        ),
    ] {
        output.line(&format!("{what:<30}{value}"))?;
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}
