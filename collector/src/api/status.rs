//! `/api/v1/status`: whether the collector works, what is wrong with it, and what it holds.

use super::error::ApiError;
use crate::{
    app::App,
    fleet::{Census, each_agent},
    key_life::KeyLife,
    organisation::OrganisationId,
    paths,
    registry::{Operator, Undelivered},
    rfc3339,
    storage::storage,
    store::{Health, watch::Seen},
    vitals::{
        AgentVitals, CommitTimes, Compaction, Concern, Connections, DiskVitals, ReceiverVitals, StoreVitals,
        Vitals, WriterFailing, concerns,
    },
};
use axum::{Extension, Json, extract::State};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a forecast of the disk holds: making one reads a day of measurements.
const FORECAST_HOLDS: Duration = Duration::from_mins(10);
/// How long a count of all agents holds: making one reads every agent.
const CENSUS_HOLDS: Duration = Duration::from_mins(5);
const DAY: u64 = 86_400;

/// The collector at a glance.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Status {
    /// What is wrong, the gravest first; nothing when all is well.
    pub concerns: Vec<Concern>,
    /// The running build.
    pub version: String,
    /// The collector's clock.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub time: Timestamp,
    /// Where agents reach it.
    pub agent_url: String,
    /// SHA-256 of the CA that agents pin.
    pub ca_sha256: String,
    /// Registrations that hold now.
    pub registrations: usize,
    /// The collector at work.
    #[serde(flatten)]
    pub vitals: Vitals,
}

/// Shows the collector at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "operation", responses((status = 200, body = Status)))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Status>, ApiError> {
    let organisation = operator.organisation;
    let registrations = app.registry.registrations(organisation);
    let vitals = vitals(&app, organisation).await?;
    let now = app.clock.now();
    let holds = |from: Timestamp, to: Option<Timestamp>| from <= now && to.is_none_or(|to| now < to);
    Ok(Json(Status {
        concerns: concerns(&vitals),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: now,
        agent_url: app.identity.agent_url.clone(),
        ca_sha256: app.identity.ca_sha256.clone(),
        registrations: registrations.iter().filter(|entry| holds(entry.valid_from, entry.valid_to)).count(),
        vitals,
    }))
}

/// The collector at work, now.
pub(super) async fn vitals(app: &App, organisation: OrganisationId) -> Result<Vitals, ApiError> {
    let health = app.store.health().await?;
    let enrolled = app.ask(move |registry, _now| registry.count_agents(organisation, false)).await? as u64;
    let disk = disk(app, organisation).await?;
    let census = census(app, organisation).await?;
    let (now, Seen { commits, newest_end, failing, upkeep, .. }) =
        (app.clock.now(), app.store.watch().seen());
    let age = |instant: Timestamp| now.since(instant).as_secs();
    let newest = newest_end.or(health.newest);
    Ok(Vitals {
        writer_failing: failing.map(|failing| WriterFailing { since: failing.since, error: failing.error }),
        queue_depth: app.metrics.waiting(),
        commits: CommitTimes {
            count: commits.count,
            p50_ms: millis(commits.p50),
            p99_ms: millis(commits.p99),
            max_ms: millis(commits.max),
        },
        newest_interval: newest,
        newest_interval_age_s: newest.map(age),
        log_age_s: health.oldest_in_log.map(age),
        compaction: upkeep.map(|upkeep| Compaction {
            at: upkeep.at,
            took_ms: millis(upkeep.took),
            error: upkeep.error,
        }),
        disk,
        connections: ["agents", "operators"]
            .map(|listener| {
                let (open, limit) = app.metrics.connection_faults().level(listener);
                Connections { listener: listener.to_owned(), open, limit }
            })
            .into(),
        agents: agents_of(enrolled, app.registry.agents_seen_lately(now), &census),
        receivers: receivers(app).await?,
        rejections: app.metrics.rejections(),
        dropped: health.dropped.clone(),
        store: store_of(&health),
    })
}

/// What the receivers of alerts have not taken.
async fn receivers(app: &App) -> Result<Vec<ReceiverVitals>, ApiError> {
    let names = app.config.alerts.receivers();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let counted = app.ask(move |registry, now| {
        let since = now.minus(Duration::from_secs(DAY));
        let of = |name: String| {
            let Undelivered { waiting, given_up } = registry.undelivered(&name, since)?;
            Ok(ReceiverVitals { name, waiting, given_up })
        };
        names.into_iter().map(of).collect()
    });
    counted.await
}

fn store_of(health: &Health) -> StoreVitals {
    StoreVitals {
        log_batches: health.log_batches,
        ledger_entries: health.ledger_entries,
        stale_rollups: health.stale_rollups,
        damaged_batches: health.damaged_batches,
        bytes: health.bytes,
        wal_bytes: health.wal_bytes,
        oldest: health.oldest,
    }
}

fn agents_of(enrolled: u64, seen: u64, census: &Census) -> AgentVitals {
    // Who was revoked may have been seen a moment ago.
    let seen_lately = seen.min(enrolled);
    AgentVitals {
        enrolled,
        seen_lately,
        silent: enrolled - seen_lately,
        unhealthy: census.unhealthy,
        behind: census.behind,
        refusing: census.refusing,
    }
}

/// What all agents say together. They are counted anew every five minutes.
pub(super) async fn census(app: &App, organisation: OrganisationId) -> Result<Census, ApiError> {
    let now = app.clock.now();
    let mut census = app.census.lock().await;
    if let Some((_, known)) = census.as_ref().filter(|(made, _)| now.since(*made) < CENSUS_HOLDS) {
        return Ok(known.clone());
    }
    let life = KeyLife::from(app.config.keys);
    let made = app
        .ask(move |registry, now| {
            let mut census = Census::default();
            each_agent(registry, organisation, (&life, now), |agent| census.add(agent))?;
            Ok(census)
        })
        .await?;
    *census = Some((now, made.clone()));
    Ok(made)
}

/// What is left of the disk. The forecast is made anew every ten minutes.
async fn disk(app: &App, organisation: OrganisationId) -> Result<DiskVitals, ApiError> {
    let now = app.clock.now();
    let mut forecast = app.forecast.lock().await;
    let path = paths::store(&app.config.store.directory);
    let free_bytes = fs4::available_space(path).ok();
    if let Some((_, known)) = forecast.filter(|(made, _)| now.since(*made) < FORECAST_HOLDS) {
        return Ok(DiskVitals { free_bytes, ..known });
    }
    let usage = app.store.usage().await?;
    let registrations = app.registry.registrations(organisation);
    let storage = storage(&usage, &app.config.retention.into(), &registrations, free_bytes);
    let dropped_at = storage.resolutions.first().and_then(|measured| measured.dropped_at);
    let made = DiskVitals {
        free_bytes,
        full_in_days: storage.forecast.days_until_disk_is_full,
        retention_reached_in_days: dropped_at.map(|at| at.since(now).as_secs() / DAY),
    };
    *forecast = Some((now, made));
    Ok(made)
}

/// To a thousandth.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
