//! Sites and agents: who measures where, how well each is, and who has enrolled nobody yet.

use super::{
    about::ago,
    frame::{Frame, View, address, answer as page},
    list::{Cell, List, Lists, numbers, times, words},
};
use crate::{
    api::{
        agents::judged,
        error::ApiError,
        list::{cursor, place},
    },
    app::App,
    registry::{AgentEntry, AgentPlace, AgentQuery, Operator, Registration},
    report::render::figure,
    rfc3339,
};
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use http::StatusCode;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::collections::BTreeSet;

/// How many agents a page holds.
const PAGE: usize = 500;
/// How many sites without an agent are named.
const MAX_VACANT: usize = 200;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    /// Only those that somebody should look into.
    #[serde(default)]
    unhealthy: bool,
    /// Only those whose version is older than the collector's.
    #[serde(default)]
    behind: bool,
    /// Those that were revoked or retired, too.
    #[serde(default)]
    all: bool,
    cursor: Option<String>,
    #[serde(default)]
    format: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let organisation = operator.organisation;
    let after = place::<AgentPlace>(asked.cursor.as_deref())?;
    let first = after.is_none();
    let query = AgentQuery { revoked: asked.all, after, limit: Some(PAGE + 1) };
    let (agents, total, everyone) = app
        .ask(move |registry, now| {
            let agents = registry.list_agents(organisation, &query, now)?;
            // Who has an agent is not told by a page.
            let everyone = if first {
                registry.list_agents(organisation, &AgentQuery::default(), now)?
            } else {
                Vec::new()
            };
            Ok((agents, registry.count_agents(organisation, query.revoked)?, everyone))
        })
        .await?;
    let mut agents: Vec<_> = agents.into_iter().map(|agent| judged(&app, agent)).collect();
    let next = (agents.len() > PAGE).then(|| {
        agents.truncate(PAGE);
        agents.last().map(|last| cursor(&AgentPlace { site: last.site.clone(), agent: last.agent }))
    });
    let next = next.flatten().map(|next| link(&asked, &[("cursor", &next)]));
    let wanted = |agent: &AgentEntry| {
        (!asked.unhealthy || (agent.revoked.is_none() && !agent.state.is_empty()))
            && (!asked.behind || agent.behind)
    };
    let agents: Vec<_> = agents.into_iter().filter(wanted).collect();
    let list = agents_list(&agents, &asked, now);
    if asked.format == "csv" {
        return list.download();
    }
    let mut lists = vec![list];
    if first && !asked.unhealthy && !asked.behind {
        let registrations = app.registry.registrations(organisation);
        lists.extend(vacant(registrations.iter(), &everyone, now));
        if let Some(list) = lists.get(1).filter(|_| asked.format == "vacant") {
            return list.download();
        }
    }
    let unwell = agents.iter().filter(|agent| agent.revoked.is_none() && !agent.state.is_empty()).count();
    page(
        StatusCode::OK,
        &Lists {
            frame: Frame::new(View::Sites, "Sites and agents".to_owned(), &operator, &[]),
            title: "Sites and agents",
            summary: summary(total, unwell),
            choices: choices(&asked),
            tables: lists,
            next,
        },
    )
}

fn summary(total: usize, unwell: usize) -> String {
    let all = if total == 1 { "1 agent".to_owned() } else { format!("{total} agents") };
    match unwell {
        0 => format!("{all}, all of these well"),
        1 => format!("{all}, 1 of these needs somebody"),
        many => format!("{all}, {many} of these need somebody"),
    }
}

fn choices(asked: &Asked) -> Vec<(String, String, bool)> {
    let path = View::Sites.path();
    let to = |name: &str| format!("{path}?{name}=true");
    vec![
        ("in service".to_owned(), path.to_owned(), !asked.unhealthy && !asked.behind && !asked.all),
        ("need somebody".to_owned(), to("unhealthy"), asked.unhealthy),
        ("older version".to_owned(), to("behind"), asked.behind),
        ("revoked and retired, too".to_owned(), to("all"), asked.all),
    ]
}

/// The same page with more.
fn link(asked: &Asked, more: &[(&str, &str)]) -> String {
    let flags = [("unhealthy", asked.unhealthy), ("behind", asked.behind), ("all", asked.all)];
    let flags = flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, "true"));
    let parameters: Vec<_> = flags.chain(more.iter().copied()).collect();
    address(View::Sites.path(), &parameters)
}

fn agents_list(agents: &[AgentEntry], asked: &Asked, now: Timestamp) -> List {
    List {
        id: "agents",
        title: "Agents",
        csv: link(asked, &[("format", "csv")]),
        empty: if asked.unhealthy || asked.behind {
            "None of them.".to_owned()
        } else {
            "No agent has enrolled yet. `peerlight-collector token create SITE` makes a token for one."
                .to_owned()
        },
        columns: vec![
            words("site"),
            words("provider, location"),
            words("state"),
            times("last heard of"),
            words("version"),
            numbers("clock off, ms"),
            numbers("late by, ms (p99)"),
            numbers("waiting batches"),
            numbers("given up"),
            times("key expires"),
            words("host, address"),
        ],
        rows: agents.iter().map(|agent| row(agent, now)).collect(),
        ..List::default()
    }
}

fn row(agent: &AgentEntry, now: Timestamp) -> Vec<Cell> {
    let health = agent.health.as_ref();
    let state = if agent.state.is_empty() {
        Cell::of("well")
    } else {
        Cell { warn: agent.revoked.is_none(), ..Cell::of(agent.state.join("; ")) }
    };
    let given_up = health.map(|health| {
        let parts = [
            (health.dropped_batches, "batches dropped"),
            (health.corrupt_batches, "damaged"),
            (health.refused_measurements, "measurements refused"),
            (health.rejected_batches, "batches rejected"),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() { "0".to_owned() } else { parts.join(", ") }
    });
    let others = agent
        .others
        .iter()
        .map(|other| format!("and {} ({}, {})", other.site, other.provider, other.location));
    let beside: Vec<_> = others.chain(agent.tags.iter().map(|tag| format!("#{tag}"))).collect();
    vec![
        Cell::of(&agent.site)
            .beside(beside.join(", "))
            .to(View::Latency.path(), &[("site", &agent.site), ("by", "provider,location,site")]),
        Cell::of(&agent.provider).beside(&agent.location),
        state,
        Cell::of(agent.last_seen.map_or_else(|| "never".to_owned(), |at| ago(at, now)))
            .beside(agent.last_seen.map(rfc3339::seconds).unwrap_or_default()),
        Cell { warn: agent.behind, ..Cell::of(&agent.version) },
        Cell::or_none(agent.clock_offset_us.map(signed_ms)),
        Cell::or_none(health.and_then(|health| health.noise_p99_us).map(|us| figure::ms(ms(us)))),
        Cell::or_none(health.map(|health| health.spooled_batches.to_string())).beside(
            health.map(|health| bytesize::ByteSize(health.spooled_bytes).to_string()).unwrap_or_default(),
        ),
        Cell::or_none(given_up),
        Cell::or_none(agent.key_expires.map(|at| rfc3339::seconds(at).chars().take(10).collect::<String>())),
        Cell::of(&agent.host).beside(agent.address.map(|address| address.to_string()).unwrap_or_default()),
    ]
}

fn signed_ms(us: i64) -> String {
    let sign = if us < 0 { "−" } else { "+" };
    format!("{sign}{}", figure::ms(ms(us.unsigned_abs())))
}

#[expect(clippy::cast_precision_loss, reason = "offsets of clocks and lateness stay far below 2^53 µs")]
fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// Sites that are registered and have no agent.
fn vacant<'a>(
    registrations: impl Iterator<Item = &'a Registration>,
    agents: &[AgentEntry],
    now: Timestamp,
) -> Option<List> {
    let taken: BTreeSet<&str> = agents
        .iter()
        .flat_map(|agent| std::iter::once(&agent.site).chain(agent.others.iter().map(|other| &other.site)))
        .map(String::as_str)
        .collect();
    let valid = registrations.filter(|entry| entry.validity().contains(now));
    let vacant: Vec<_> =
        valid.filter(|entry| !taken.contains(entry.site.as_str())).take(MAX_VACANT).collect();
    (!vacant.is_empty()).then(|| List {
        id: "vacant",
        title: "Sites without an agent",
        note: "peerlight-collector token create SITE makes a token for one".to_owned(),
        csv: format!("{}?format=vacant", View::Sites.path()),
        columns: vec![words("site"), words("provider"), words("location"), words("prefixes")],
        rows: vacant
            .iter()
            .map(|entry| {
                let prefixes: Vec<_> = entry.prefixes.iter().map(ToString::to_string).collect();
                [&entry.site, &entry.provider, &entry.location, &prefixes.join(", ")].map(Cell::of).into()
            })
            .collect(),
        ..List::default()
    })
}
