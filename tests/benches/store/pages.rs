//! Pages of the dashboard over thirty days of a fleet, asked of the operators' router as a browser asks it: how long each takes when
//! nobody asked before, and when somebody did.
//!
//! To fill a store with thirty days of minutes takes hours; reports of as long a span read rollups of days and of quarter hours, which are
//! as large whatever they were made of. So each agent measures every quarter hour, and every minute of the last hour. That takes a while, so
//! that a directory which is named is kept, and asked again the next time.

use crate::workload::{ASKED, BEGIN, Fleet, SAMPLES, Truth};
use anyhow::{Context as _, ensure};
use axum::{
    Router,
    body::{Body, Bytes},
};
use futures::future::try_join_all;
use http::{Request, StatusCode, header};
use peerlight_collector::{
    admission::Caller,
    app::App,
    client_address::Peer,
    clock::Clock,
    config::Config,
    identity::Identity,
    organisation::OrganisationId,
    paths,
    registry::{AgentQuery, Operator, Registry, Role},
    router::for_operators,
    store::{SqliteStore, Store},
};
use peerlight_lab::fleet::{self, TARGETS};
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tower::ServiceExt as _;

const DAYS: u32 = 30;
/// What a page may take, by the promise of the dashboard.
const PROMISED_MS: f64 = 250.0;
/// Every page that tells of a span, over the longest that is one click away; after them what the largest of them ask.
const PAGES: [&str; 17] = [
    "/?last=30d",
    "/provider?last=30d",
    "/map?last=30d",
    "/latency?last=30d",
    "/latency?last=30d&by=provider,location",
    "/latency?last=30d&by=provider,location,site",
    "/compare?last=30d",
    "/series?last=30d",
    "/availability?last=30d",
    "/time-of-day?last=30d",
    "/edges?last=30d",
    "/api/v1/reports/latency?last=30d&by=provider,location&metric=https.ttfb",
    "/api/v1/reports/latency?last=30d&by=provider,location&metric=https.ttfb&step=1d",
    "/api/v1/reports/latency?last=30d&by=provider,location&metric=https.ttfb&step=12h",
    "/api/v1/reports/availability?last=30d&by=location&provider=provider-00&metric=tcp.connect",
    "/api/v1/reports/yardsticks?last=30d&by=location&provider=provider-00",
    "/api/v1/reports/compare?last=30d&providers=provider-00,provider-01&metric=https.ttfb",
];

/// Fills a store and asks for every page twice.
pub(crate) async fn measure(agents: u32, directory: Option<&Path>) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let directory = directory.unwrap_or(temporary.path());
    if !paths::registry(directory).exists() {
        let begun = Instant::now();
        fill(agents, directory).await?;
        eprintln!("… filled after {:.0} s", begun.elapsed().as_secs_f64());
    }
    let app = collector(directory)?;
    let by = Operator::local();
    let token = app.registry.create_operator_token("bench", Role::Reader, &by, app.clock.now())?.token;
    let router = for_operators(&app);
    let (scheduled, intervals) = (scheduled(&router, &token).await?, intervals().count() as u64);
    ensure!(
        scheduled == u64::from(agents) * intervals * TARGETS as u64 * SAMPLES,
        "{scheduled} probes of {agents} agents in {intervals} intervals"
    );
    println!(
        "\n{agents} agents, {DAYS} days, {scheduled} probes of each metric; milliseconds until the page is there"
    );
    println!("  {:<90} {:>9} {:>9} {:>9} {:>7}", "page", "at first", "again", "kB", "ratio");
    for page in PAGES {
        let (first, (status, bytes)) = ask(&router, page, &token).await?;
        let (again, _answer) = ask(&router, page, &token).await?;
        println!(
            "  {page:<90} {first:>9.0} {again:>9.1} {:>9.0} {:>7.2}  {status}",
            bytes as f64 / 1e3,
            again / PROMISED_MS
        );
    }
    Ok(())
}

/// How many probes the report of latency holds of [`ASKED`].
async fn scheduled(router: &Router, token: &str) -> anyhow::Result<u64> {
    let question = format!(
        "/api/v1/reports/latency?from={}&to={}&metric={}",
        BEGIN.as_secs(),
        end().as_secs(),
        ASKED.name()
    );
    let body = answer(router, &question, token).await?.1;
    let report: serde_json::Value = serde_json::from_slice(&body)?;
    let rows = report["rows"].as_array().context("a report without rows")?;
    Ok(rows.iter().filter_map(|row| row["scheduled"].as_u64()).sum())
}

/// How long a page takes, what becomes of it, and how large it is.
async fn ask(router: &Router, page: &str, token: &str) -> anyhow::Result<(f64, (StatusCode, usize))> {
    let begun = Instant::now();
    let (status, body) = answer(router, page, token).await?;
    Ok((begun.elapsed().as_secs_f64() * 1e3, (status, body.len())))
}

/// What is answered to a browser.
async fn answer(router: &Router, page: &str, token: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let mut request = Request::get(page)
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "text/html")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())?;
    request.extensions_mut().insert(Peer::direct(Ipv4Addr::LOCALHOST.into()));
    let response = router.clone().oneshot(request).await?;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok((status, body))
}

/// A collector of what a directory holds.
fn collector(directory: &Path) -> anyhow::Result<App> {
    let mut config = Config::default();
    directory.clone_into(&mut config.store.directory);
    let registry = Registry::open(&paths::registry(directory))?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&paths::store(directory))?);
    let identity = Identity::open(directory)?;
    let clock = Clock::manual(end().plus(Duration::from_secs(90)));
    App::new(config, registry, store, clock, (&identity, "https://localhost:8443".to_owned()))
        .context("no collector")
}

/// Lets agents measure for thirty days.
async fn fill(agents: u32, directory: &Path) -> anyhow::Result<()> {
    let _prepared = fleet::prepare(directory, (agents, agents), 1, |_enrolled| ())?;
    let registry = Registry::open(&paths::registry(directory))?;
    let store = SqliteStore::open(&paths::store(directory))?;
    let mut fleet = Fleet::of(callers(&registry)?, StdRng::seed_from_u64(1))?;
    let mut day = 0;
    for interval in intervals() {
        let batches = fleet.interval(interval, &mut Truth::new(), |_generated| {})?;
        let now = interval.end().plus(Duration::from_secs(5));
        try_join_all(batches.into_iter().map(|batch| store.put(batch))).await?;
        store.compact(now).await?;
        if now.since(BEGIN).as_secs() / 86_400 > day {
            day += 1;
            eprintln!("… day {day}");
        }
    }
    Ok(())
}

/// The first instant after what is measured.
fn end() -> Timestamp {
    BEGIN.plus(Duration::from_hours(24) * DAYS)
}

/// Every quarter hour, and every minute of the last hour.
fn intervals() -> impl Iterator<Item = Interval> {
    let last_hour = end().minus(Duration::from_hours(1));
    let quarters = (0..(DAYS * 24 - 1) * 4)
        .map(|quarter| (BEGIN.plus(Duration::from_mins(15) * quarter), IntervalLength::QUARTER_HOUR));
    let minutes =
        (0..60).map(move |minute| (last_hour.plus(Duration::from_mins(minute)), IntervalLength::MINUTE));
    quarters.chain(minutes).map(|(start, length)| Interval::containing(start, length))
}

/// The agents of a registry as admission sees them.
fn callers(registry: &Registry) -> anyhow::Result<Vec<Caller>> {
    let now = BEGIN;
    let agents = registry.list_agents(OrganisationId::DEFAULT, &AgentQuery::default(), now)?;
    let caller = |agent: peerlight_collector::registry::AgentEntry| {
        let registration = registry.registration(OrganisationId::DEFAULT, agent.registration)?;
        Ok(Caller { agent: agent.agent, registration, others: Vec::new(), uplinks: Vec::new() })
    };
    agents.into_iter().map(caller).collect()
}
