//! `agent list|show|tag|token|retire|revoke`.

use super::{
    AgentCommand, FleetOptions, Format, Output,
    output::{listed, or_dash},
    token,
};
use crate::{
    client::Client,
    registry::{AgentEntry, AgentHealth, AgentSite, NewKeyToken, NewTags},
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
        AgentCommand::Tag { agent, add, remove, options } => {
            let found = find(&agent, client).await?;
            let tagged: AgentEntry =
                client.post(&format!("{PATH}/{}/tags", found.agent), &NewTags { add, remove }).await?;
            let sentence =
                format!("agent {} of {} has the tags {}", tagged.agent, tagged.site, listed(&tagged.tags));
            output.changed(options.format, &tagged, &sentence)
        }
        AgentCommand::Retire { agent, options } => {
            let found = find(&agent, client).await?;
            let retired: AgentEntry =
                client.post(&format!("{PATH}/{}/retirement", found.agent), &serde_json::json!({})).await?;
            let sentence = format!("retired agent {} of {}", retired.agent, retired.site);
            output.changed(options.format, &retired, &sentence)
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

async fn list(options: FleetOptions, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let query = [
        ("all", options.history.all.to_string()),
        ("unhealthy", options.unhealthy.to_string()),
        ("behind", options.behind.to_string()),
    ];
    let agents: Vec<AgentEntry> = client.list(PATH, &query).await?;
    match options.history.format {
        Format::Json => output.json(&agents)?,
        Format::Table => table(options, &agents, output)?,
    }
    if (options.unhealthy || options.behind) && !agents.is_empty() {
        let what = if options.unhealthy { "should be looked into" } else { "lag behind" };
        bail!("{} of the agents {what}", agents.len());
    }
    Ok(())
}

fn table(options: FleetOptions, agents: &[AgentEntry], output: &mut Output<'_>) -> anyhow::Result<()> {
    let rows = agents.iter().map(|entry| {
        [
            entry.agent.to_string(),
            listed_sites(entry, &entry.site, |other| &other.site),
            listed_sites(entry, &entry.provider, |other| &other.provider),
            listed_sites(entry, &entry.location, |other| &other.location),
            or_dash(entry.last_seen.map(rfc3339::seconds)),
            or_dash(entry.address),
            if entry.behind { format!("{}, behind", entry.version) } else { entry.version.clone() },
            or_dash(entry.health.as_ref().map(|health| health.spooled_batches)),
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
        match options {
            FleetOptions { unhealthy: true, .. } => "no agent needs anybody",
            FleetOptions { behind: true, .. } => "no agent lags behind",
            FleetOptions { .. } => "no agents yet; `peerlight-collector token create SITE` lets one enrol",
        },
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
        ("tags", listed(&entry.tags)),
        (
            "version",
            if entry.behind {
                format!("{}, older than the collector's", entry.version)
            } else {
                entry.version.clone()
            },
        ),
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
    if let Some(health) = &entry.health {
        facts.extend(health_facts(health, entry.last_loss));
    }
    for (name, value) in facts {
        output.line(&format!("{name:<10} {value}"))?;
    }
    Ok(())
}

/// What it says of itself.
fn health_facts(health: &AgentHealth, last_loss: Option<Timestamp>) -> Vec<(&'static str, String)> {
    let noise = health
        .noise_p99_us
        .map(|us| format!("99 % of its probes left within {}.{:03} ms", us / 1_000, us % 1_000));
    let targets = health.held_set.map(|set| match (set, health.refused_set) {
        (0, None) => "its own".to_owned(),
        (set, None) => format!("set {set}"),
        (set, Some(refused)) => format!("set {set}; refuses set {refused}: {}", health.refusal),
    });
    let mut facts = vec![
        ("spooled", format!("{} batches, {} bytes", health.spooled_batches, health.spooled_bytes)),
        ("dropped", format!("{} batches", health.dropped_batches)),
        ("corrupt", format!("{} batches", health.corrupt_batches)),
        (
            "refused",
            format!("{} measurements, {} batches", health.refused_measurements, health.rejected_batches),
        ),
        ("last loss", or_dash(last_loss.map(rfc3339::seconds))),
        ("noise", or_dash(noise)),
        ("targets", or_dash(targets)),
    ];
    facts.extend(health.problems.iter().map(|problem| ("problem", problem.clone())));
    facts
}
