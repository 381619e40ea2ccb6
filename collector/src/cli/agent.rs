//! `agent list|show|token|revoke`.

use super::{
    AgentCommand, Format, HistoryOptions, Output,
    output::{listed, or_dash},
    token,
};
use crate::{
    client::Client,
    registry::{AgentEntry, AgentSite, NewKeyToken},
    rfc3339,
};
use anyhow::bail;
use peerlight_proto::time::Timestamp;

const PATH: &str = "/api/v1/agents";

pub(super) async fn run(
    command: AgentCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        AgentCommand::List(options) => list(options, client, output).await,
        AgentCommand::Show { agent, options } => {
            let agent = find(&agent, client).await?;
            if options.format == Format::Json { output.json(&agent) } else { show(&agent, output) }
        }
        AgentCommand::Token { agent, life, format } => {
            let agent = find(&agent, client).await?.agent;
            let new = NewKeyToken { life_s: Some(life.as_secs()) };
            let issued = client.post(&format!("{PATH}/{agent}/tokens"), &new).await?;
            token::show(&issued, format, output)
        }
        AgentCommand::Revoke { agent, options } => {
            let found = find(&agent, client).await?;
            let revoked: AgentEntry = client.delete(&format!("{PATH}/{}", found.agent), &[]).await?;
            let sentence = format!("revoked agent {} of {}", revoked.agent, revoked.site);
            output.changed(options.format, &revoked, &sentence)
        }
    }
}

/// The agent of this identity, or of the only one that begins so, or the only one of this site.
async fn find(wanted: &str, client: &Client) -> anyhow::Result<AgentEntry> {
    let wanted_folded = wanted.to_lowercase();
    let matches: Vec<AgentEntry> = client
        .list::<AgentEntry>(PATH, &[("all", "true".to_owned())])
        .await?
        .into_iter()
        .filter(|entry| {
            sites(entry).any(|site| site.to_lowercase() == wanted_folded)
                || entry.agent.to_string().starts_with(&wanted_folded)
        })
        .collect();
    match matches.as_slice() {
        [found] => Ok(found.clone()),
        [] => bail!("there is no agent `{wanted}`; `peerlight-collector agent list --all` lists them"),
        several => {
            let ids: Vec<String> = several.iter().map(|entry| entry.agent.to_string()).collect();
            bail!("`{wanted}` means several agents: {}", listed(&ids))
        }
    }
}

async fn list(options: HistoryOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let agents: Vec<AgentEntry> = client.list(PATH, &[("all", options.all.to_string())]).await?;
    if options.format == Format::Json {
        return output.json(&agents);
    }
    let rows = agents.iter().map(|entry| {
        [
            entry.agent.to_string(),
            listed_sites(entry, &entry.site, |other| &other.site),
            listed_sites(entry, &entry.provider, |other| &other.provider),
            listed_sites(entry, &entry.location, |other| &other.location),
            or_dash(entry.last_seen.map(rfc3339::seconds)),
            or_dash(entry.address),
            entry.version.clone(),
            or_dash(entry.health.map(|health| health.spooled_batches)),
            or_dash(entry.key_expires.map(day)),
            state(entry),
        ]
    });
    output.table(
        &[
            "agent",
            "site",
            "provider",
            "location",
            "last seen",
            "address",
            "version",
            "spooled",
            "key expires",
            "state",
        ],
        rows,
        "no agents yet; `peerlight-collector token create SITE` lets one enrol",
    )
}

/// The day of an instant, in UTC.
fn day(at: Timestamp) -> String {
    let text = rfc3339::seconds(at);
    text.split_once('T').map_or(text.clone(), |(day, _time)| day.to_owned())
}

/// Every site that it measures.
fn sites(entry: &AgentEntry) -> impl Iterator<Item = &str> {
    let others = entry.others.iter().map(|other| other.site.as_str());
    std::iter::once(entry.site.as_str()).chain(others)
}

/// Something of every site that it measures, in the same order.
fn listed_sites<'a>(
    entry: &'a AgentEntry,
    first: &'a str,
    of: impl Fn(&'a AgentSite) -> &'a String,
) -> String {
    let others = entry.others.iter().map(|other| of(other).as_str());
    std::iter::once(first).chain(others).collect::<Vec<_>>().join(", ")
}

/// What an operator should know first.
fn state(entry: &AgentEntry) -> String {
    if entry.state.is_empty() { "ok".to_owned() } else { entry.state.join(", ") }
}

/// How its key is told from another, and how old it is.
fn key(entry: &AgentEntry) -> String {
    let instant = |at: Option<Timestamp>| or_dash(at.map(rfc3339::seconds));
    let (since, expires) = (instant(entry.key_since), instant(entry.key_expires));
    let next = entry.next_key.as_ref().map(|next| format!("; {next} follows")).unwrap_or_default();
    format!("{} since {since}, expires {expires}{next}", entry.key)
}

fn show(entry: &AgentEntry, output: &mut Output<'_>) -> anyhow::Result<()> {
    let offset = entry.clock_offset_us.map(|offset| format!("{offset} µs (collector minus agent)"));
    let mut facts = vec![
        ("agent", entry.agent.to_string()),
        ("state", state(entry)),
        ("site", format!("{} (registration {})", entry.site, entry.registration.0)),
        ("provider", entry.provider.clone()),
        ("location", entry.location.clone()),
        ("host", entry.host.clone()),
        ("version", entry.version.clone()),
        ("enrolled", format!("{} from {}", rfc3339::seconds(entry.enrolled), entry.enrolled_from)),
        ("key", key(entry)),
        ("last seen", or_dash(entry.last_seen.map(rfc3339::seconds))),
        ("address", or_dash(entry.address)),
        ("session", or_dash(entry.session)),
        ("clock", or_dash(offset)),
    ];
    for other in &entry.others {
        let AgentSite { site, provider, location, registration, .. } = other;
        facts.push((
            "beside",
            format!("{site} of {provider} in {location} (registration {})", registration.0),
        ));
    }
    if let Some(health) = entry.health {
        facts.extend([
            ("spooled", format!("{} batches, {} bytes", health.spooled_batches, health.spooled_bytes)),
            ("dropped", format!("{} batches", health.dropped_batches)),
            ("corrupt", format!("{} batches", health.corrupt_batches)),
            (
                "refused",
                format!("{} measurements, {} batches", health.refused_measurements, health.rejected_batches),
            ),
        ]);
    }
    for (name, value) in facts {
        output.line(&format!("{name:<10} {value}"))?;
    }
    Ok(())
}
