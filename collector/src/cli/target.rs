//! `target add|list|remove`.

use super::{Format, Output, TargetArgs, TargetCommand, output::or_dash};
use crate::{
    api::list::List,
    client::Client,
    registry::{NewTarget, TargetEntry},
};
use anyhow::Context as _;
use peerlight_proto::duration;
use std::time::Duration;

const PATH: &str = "/api/v1/targets";

pub(super) async fn run(
    command: TargetCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        TargetCommand::Add(args) => {
            let format = args.options.format;
            let added: List<TargetEntry> = client.post(PATH, &new(args)?).await?;
            let sentence = |entry: &TargetEntry| {
                format!("assigned {} of {} (target {})", entry.probe, entry.address, entry.id)
            };
            let sentences: Vec<String> = added.items.iter().map(sentence).collect();
            output.changed(format, &added.items, &sentences.join("\n"))
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
                    or_dash(interval.map(duration::text)),
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
        TargetCommand::Remove { target, options } => {
            let removed: TargetEntry = client.delete(&format!("{PATH}/{target}"), &[]).await?;
            let sentence = format!("removed {} of {} (target {target})", removed.probe, removed.address);
            output.changed(options.format, &removed, &sentence)
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
