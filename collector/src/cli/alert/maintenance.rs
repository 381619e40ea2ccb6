//! `alert maintenance list|add|end`.

use super::{MaintenanceArgs, MaintenanceCommand, now};
use crate::{
    alert::{Maintenance, NewMaintenance, Scope},
    api::list::List,
    cli::{Format, Output},
    client::Client,
    rfc3339,
};
use anyhow::Context as _;

const PATH: &str = "/api/v1/alerts/maintenance";

pub(super) async fn run(
    command: MaintenanceCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        MaintenanceCommand::List(options) => {
            let list: List<Maintenance> = client.get(PATH, &[("all", options.all.to_string())]).await?;
            if options.format == Format::Json {
                return output.json(&list.items);
            }
            let rows = list.items.iter().map(|window| {
                [
                    window.id.to_string(),
                    rfc3339::seconds(window.from),
                    rfc3339::seconds(window.to),
                    window.scope.to_string(),
                    window.reason.clone(),
                    window.created_by.clone(),
                ]
            });
            let header = ["window", "from", "to", "where", "reason", "created by"];
            output.table(&header, rows, "no maintenance is expected")
        }
        MaintenanceCommand::Add(args) => {
            let options = args.options;
            let added: Maintenance = client.post(PATH, &window(args)?).await?;
            let sentence = format!(
                "maintenance window {}: nobody is told of what begins {} from {} to {}",
                added.id,
                if added.scope == Scope::default() {
                    "anywhere".to_owned()
                } else {
                    format!("at {}", added.scope)
                },
                rfc3339::seconds(added.from),
                rfc3339::seconds(added.to)
            );
            output.changed(options.format, &added, &sentence)
        }
        MaintenanceCommand::End { window, options } => {
            let ended: Maintenance = client.delete(&format!("{PATH}/{window}"), &[]).await?;
            output.changed(options.format, &ended, &format!("maintenance window {window} is over"))
        }
    }
}

fn window(args: MaintenanceArgs) -> anyhow::Result<NewMaintenance> {
    let to = match (args.to, args.span) {
        (Some(to), _) => to,
        (None, Some(span)) => {
            let from = args.from.as_deref().map(rfc3339::parse).transpose().context("--from")?;
            rfc3339::text(from.unwrap_or_else(now).plus(span))
        }
        (None, None) => anyhow::bail!("give an end by --to or --for"),
    };
    let scope = Scope {
        providers: args.provider.into_iter().collect(),
        locations: args.location.into_iter().collect(),
        sites: args.site.into_iter().collect(),
        targets: args.target.into_iter().collect(),
    };
    Ok(NewMaintenance { scope, from: args.from, to, reason: args.reason })
}
