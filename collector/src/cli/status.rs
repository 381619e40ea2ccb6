//! `status`: first what is wrong and what to do, then the figures.

use super::{Format, ListOptions, Output, output::or_dash};
use crate::{api::status::Status, client::Client, rfc3339, vitals::Vitals};
use bytesize::ByteSize;
use peerlight_proto::duration;
use std::{collections::BTreeMap, time::Duration};

const PATH: &str = "/api/v1/status";

pub(super) async fn run(
    options: ListOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let status: Status = client.get(PATH, &[]).await?;
    match options.format {
        Format::Json => output.json(&status)?,
        Format::Table => show(&status, output)?,
    }
    match status.concerns.len() {
        0 => Ok(()),
        1 => anyhow::bail!("one thing is wrong"),
        many => anyhow::bail!("{many} things are wrong"),
    }
}

fn show(status: &Status, output: &mut Output<'_>) -> anyhow::Result<()> {
    for concern in &status.concerns {
        output.line(&format!("WRONG  {}", concern.what))?;
        output.line(&format!("  do   {}", concern.advice))?;
    }
    if status.concerns.is_empty() {
        output.line("All is well.")?;
    }
    output.line("")?;
    for (name, value) in figures(status) {
        output.line(&format!("{name:<26}{value}"))?;
    }
    Ok(())
}

fn figures(status: &Status) -> Vec<(&'static str, String)> {
    let Vitals { commits, store, disk, agents, .. } = &status.vitals;
    let vitals = &status.vitals;
    let days = |days: Option<u64>, never: &str| {
        days.map_or_else(|| never.to_owned(), |days| format!("in {days} days"))
    };
    let mut figures = vec![
        (
            "collector",
            format!("{} at {}, {}", status.version, status.agent_url, rfc3339::seconds(status.time)),
        ),
        (
            "agents",
            format!(
                "{} enrolled, {} heard of lately, {} silent, {} to look into, {} of an older version",
                agents.enrolled, agents.seen_lately, agents.silent, agents.unhealthy, agents.behind
            ),
        ),
        ("registrations", status.registrations.to_string()),
        (
            "newest interval",
            vitals.newest_interval.zip(vitals.newest_interval_age_s).map_or_else(
                || "none yet".to_owned(),
                |(end, age)| format!("{}, {} ago", rfc3339::seconds(end), span(age)),
            ),
        ),
        (
            "batches that wait",
            format!("{} for the writer, {} in the log", vitals.queue_depth, store.log_batches),
        ),
        (
            "oldest of the log",
            vitals.log_age_s.map_or_else(|| "-".to_owned(), |age| format!("{} ago", span(age))),
        ),
        (
            "commits",
            format!(
                "p50 {} ms, p99 {} ms, max {} ms of the last {}",
                commits.p50_ms, commits.p99_ms, commits.max_ms, commits.count
            ),
        ),
        (
            "last compaction",
            vitals.compaction.as_ref().map_or_else(
                || "none yet".to_owned(),
                |last| format!("{}, took {} ms", rfc3339::seconds(last.at), last.took_ms),
            ),
        ),
        ("store", format!("{}, and {} on its way into the file", size(store.bytes), size(store.wal_bytes))),
        ("oldest measurement", or_dash(store.oldest.map(rfc3339::seconds))),
        ("free on the disk", or_dash(disk.free_bytes.map(size))),
        ("disk full", days(disk.full_in_days, "not before the retention is")),
        ("retention reached", days(disk.retention_reached_in_days, "-")),
        ("ledger entries", store.ledger_entries.to_string()),
        ("stale rollups", store.stale_rollups.to_string()),
        ("damaged batches", store.damaged_batches.to_string()),
    ];
    for one in &vitals.connections {
        let name =
            if one.listener == "agents" { "connections of agents" } else { "connections of operators" };
        figures.push((name, format!("{} of {}", one.open, one.limit)));
    }
    figures.push(("rejected since the start", listed(&vitals.rejections)));
    figures.push(("dropped measurements", listed(&vitals.dropped)));
    figures.push(("CA", status.ca_sha256.clone()));
    figures
}

/// `12 clock-skew, 3 too-old`.
fn listed(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let each = counts.iter().map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")));
    each.collect::<Vec<_>>().join(", ")
}

fn span(seconds: u64) -> String {
    duration::text(Duration::from_secs(seconds))
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::{CommitTimes, Connections, WriterFailing, concerns};
    use peerlight_proto::time::Timestamp;

    fn shown(vitals: Vitals) -> String {
        let status = Status {
            concerns: concerns(&vitals),
            version: "0.1.0".into(),
            time: Timestamp::from_secs(1_790_000_000),
            agent_url: "https://collector.example.com:8443".into(),
            ca_sha256: "ab".repeat(32),
            registrations: 2,
            vitals,
        };
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        show(&status, &mut Output { out: &mut out, notes: &mut notes, width: None }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_wrong_comes_first_with_what_to_do() {
        let at = Timestamp::from_secs(1_789_999_000);
        let mut ill = Vitals {
            writer_failing: Some(WriterFailing { since: at, error: "the disk is full".into() }),
            queue_depth: 3,
            commits: CommitTimes { count: 1_024, p50_ms: 1.25, p99_ms: 9.5, max_ms: 31.0 },
            newest_interval: Some(at),
            newest_interval_age_s: Some(1_000),
            log_age_s: Some(100),
            connections: vec![Connections { listener: "agents".into(), open: 2, limit: 1_000 }],
            rejections: [("clock-skew".to_owned(), 2), ("refused future".to_owned(), 1)].into(),
            dropped: [("spool_full".to_owned(), 12)].into(),
            ..Vitals::default()
        };
        ill.agents.enrolled = 2;
        ill.agents.seen_lately = 2;
        insta::assert_snapshot!(shown(ill));
    }

    #[test]
    fn a_collector_that_works_is_said_to_be_well() {
        assert!(shown(Vitals::default()).starts_with("All is well.\n\ncollector "));
    }
}
