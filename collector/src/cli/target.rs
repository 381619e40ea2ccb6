//! `target add|list|remove`.

use super::{Format, Output, TargetArgs, TargetCommand, output::or_dash};
use crate::{
    api::list::List,
    client::Client,
    registry::{NewTarget, TargetEntry},
};
use anyhow::Context as _;
use std::time::Duration;

const PATH: &str = "/api/v1/targets";

pub(super) async fn run(
    command: TargetCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        TargetCommand::Add(args) => {
            let added: List<TargetEntry> = client.post(PATH, &new(args)?).await?;
            for entry in &added.items {
                output
                    .line(&format!("assigned {} of {} (target {})", entry.probe, entry.address, entry.id))?;
            }
            Ok(())
        }
        TargetCommand::List(options) => {
            let list: List<TargetEntry> = client.get(PATH, &[]).await?;
            if options.format == Format::Json {
                return output.json(&list.items);
            }
            let rows = list.items.iter().map(|entry| {
                let interval = entry.interval_ms.map(|interval| Duration::from_millis(interval.into()));
                [
                    entry.id.to_string(),
                    entry.name.clone(),
                    entry.service.clone(),
                    entry.address.to_string(),
                    entry.probe.to_string(),
                    or_dash(interval.map(humantime::format_duration)),
                    or_dash(entry.provider.as_ref()),
                    or_dash(entry.location.as_ref()),
                ]
            });
            output.table(
                &["id", "name", "service", "address", "probe", "interval", "provider", "location"],
                rows,
                "no targets are assigned; agents measure what they are configured to, or Microsoft's front doors",
            )
        }
        TargetCommand::Remove { target } => {
            let removed: TargetEntry = client.delete(&format!("{PATH}/{target}"), &[]).await?;
            output.line(&format!("removed {} of {} (target {target})", removed.probe, removed.address))
        }
    }
}

fn new(args: TargetArgs) -> anyhow::Result<NewTarget> {
    let interval_ms = args
        .interval
        .map(|interval| u32::try_from(interval.as_millis()))
        .transpose()
        .context("the interval is longer than an hour")?;
    Ok(NewTarget {
        name: args.name,
        service: args.service,
        address: args.address,
        probes: args.probe,
        interval_ms,
        provider: args.provider,
        location: args.location,
    })
}
