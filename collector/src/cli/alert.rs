//! `alert` and what is below it.

mod command;
mod maintenance;
mod rules;
mod show;

pub use command::{AlertCommand, MaintenanceArgs, MaintenanceCommand, ReplayArgs, RulesCommand};

use super::{Format, HistoryOptions, Output, output::or_dash};
use crate::{
    alert::{Alert, replay::Replay},
    api::{
        alerts::{AlertDetail, ReplayQuestion},
        list::List,
    },
    client::Client,
    clock::Clock,
    registry::{AlertNote, AlertSilence},
    rfc3339,
};
use peerlight_proto::{duration, time::Timestamp};

const PATH: &str = "/api/v1/alerts";

pub(super) async fn run(
    command: AlertCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        AlertCommand::List(options) => list(options, client, output).await,
        AlertCommand::Show { alert, options } => {
            let detail: AlertDetail = client.get(&format!("{PATH}/{alert}"), &[]).await?;
            if options.format == Format::Json { output.json(&detail) } else { show::detail(&detail, output) }
        }
        AlertCommand::Acknowledge { alert, note, options } => {
            let path = format!("{PATH}/{alert}/acknowledgement");
            let after: Alert = client.post(&path, &AlertNote { note }).await?;
            let sentence = format!("alert {alert} is acknowledged: {}", after.summary);
            output.changed(options.format, &after, &sentence)
        }
        AlertCommand::Silence { alert, span, options } => {
            let until = rfc3339::text(now().plus(span));
            let path = format!("{PATH}/{alert}/silence");
            let after: Alert = client.post(&path, &AlertSilence { until }).await?;
            let sentence = after.silenced_until.map_or_else(
                || format!("receivers hear of alert {alert} again"),
                |until| {
                    format!(
                        "receivers hear nothing of alert {alert} until {}, but that it is over",
                        rfc3339::seconds(until)
                    )
                },
            );
            output.changed(options.format, &after, &sentence)
        }
        AlertCommand::Rules(command) => rules::run(command, client, output).await,
        AlertCommand::Maintenance(command) => maintenance::run(command, client, output).await,
        AlertCommand::Replay(args) => replay(&args, client, output).await,
    }
}

async fn list(options: HistoryOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let list: List<Alert> = client.get(PATH, &[("all", options.all.to_string())]).await?;
    if options.format == Format::Json {
        return output.json(&list.items);
    }
    table(&list.items, "nothing is wrong that the rules look for", output)
}

/// Alerts as a table.
fn table(alerts: &[Alert], nothing: &str, output: &mut Output<'_>) -> anyhow::Result<()> {
    let rows = alerts.iter().map(|alert| {
        [
            alert.id.to_string(),
            alert.state.to_string(),
            alert.severity.to_string(),
            rfc3339::seconds(alert.since),
            or_dash(alert.fired.map(rfc3339::seconds)),
            or_dash(alert.resolved.map(rfc3339::seconds)),
            alert.summary.clone(),
        ]
    });
    output.table(&["alert", "state", "severity", "since", "fired", "resolved", "what"], rows, nothing)
}

async fn replay(args: &ReplayArgs, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let rules = args.rules.as_deref().map(rules::read).transpose()?.map(|new| new.rules);
    let question = ReplayQuestion { last: args.last.clone(), rules };
    let replay: Replay = client.post(&format!("{PATH}/replay"), &question).await?;
    if args.format == Format::Json {
        return output.json(&replay);
    }
    table(&replay.alerts, "nobody would have been told of anything", output)?;
    let told = |kind: &str| replay.told.get(kind).copied().unwrap_or(0);
    output.note(&format!(
        "from {} to {}: {} windows, {} alerts; receivers would have been told {} times that something fires, {} times that it \
         widened, {} times that it is over\n{}",
        rfc3339::seconds(replay.from),
        rfc3339::seconds(replay.to),
        replay.windows,
        replay.alerts.len(),
        told("firing"),
        told("updated"),
        told("resolved"),
        replay.method
    ))
}

/// This machine's time, for spans that begin now.
fn now() -> Timestamp {
    Clock::system().now()
}

/// A span in words.
fn span(span: std::time::Duration) -> String {
    duration::text(span)
}
