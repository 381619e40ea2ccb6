//! `registration reattribute|reattributions`.

use super::{Format, ListOptions, Output, ReattributeArgs, output::or_dash, registration};
use crate::{
    api::{list::List, reattributions::NewReattribution},
    client::Client,
    reattribution::ReattributionEntry,
    rfc3339,
};

const PATH: &str = "/api/v1/reattributions";

/// Moves measurements and says what was moved.
pub(super) async fn reattribute(
    args: ReattributeArgs,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let (source, target) =
        (registration::find(&args.source, client).await?, registration::find(&args.target, client).await?);
    let new = NewReattribution {
        from: source.id.0,
        to: target.id.0,
        since: args.from,
        until: args.to,
        reason: args.reason,
    };
    let entry: ReattributionEntry = client.post(PATH, &new).await?;
    if args.format == Format::Json {
        return output.json(&entry);
    }
    let is_finished = entry.finished.is_some();
    table(&[entry], output)?;
    if !is_finished {
        output.note(
            "it is under way and goes on by itself; `peerlight-collector registration reattributions` shows how far it is",
        )?;
    }
    Ok(())
}

/// Lists what was moved before.
pub(super) async fn list(
    options: ListOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let list: List<ReattributionEntry> = client.get(PATH, &[]).await?;
    if options.format == Format::Json { output.json(&list.items) } else { table(&list.items, output) }
}

fn table(entries: &[ReattributionEntry], output: &mut Output<'_>) -> anyhow::Result<()> {
    let rows = entries.iter().map(|entry| {
        [
            entry.id.to_string(),
            entry.from.0.to_string(),
            entry.to.0.to_string(),
            or_dash(entry.since.map(rfc3339::seconds)),
            rfc3339::seconds(entry.until),
            entry.measurements.to_string(),
            entry.rollup_rows.to_string(),
            entry.probes.to_string(),
            entry.spans.to_string(),
            entry.finished.map_or_else(|| "under way".to_owned(), rfc3339::seconds),
            entry.who.clone(),
            entry.reason.clone(),
        ]
    });
    output.table(
        &[
            "id",
            "from",
            "to",
            "since",
            "until",
            "measurements",
            "rollup rows",
            "probes",
            "rollups stale",
            "finished",
            "who",
            "reason",
        ],
        rows,
        "nothing was re-attributed yet",
    )
}
