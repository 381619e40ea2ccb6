//! Pages of the dashboard over thirty days of a fleet, asked of the operators' router as a browser asks it: how long each takes when
//! nobody asked before, and when somebody did.
//!
//! To fill a store with thirty days of minutes takes hours; a report of as long a span reads rollups of days, which are as large
//! whatever they were made of. So each agent measures a quarter of every hour, and every minute of the last one.

use crate::workload::{BEGIN, Fleet, Truth};
use anyhow::{Context as _, ensure};
use axum::{Router, body::Body};
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
use peerlight_lab::fleet;
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
/// Every page that tells of a span, over the longest that is one click away.
const PAGES: [&str; 11] = [
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
];

/// Fills a store and asks for every page twice.
pub(crate) async fn measure(agents: u32, directory: Option<&Path>) -> anyhow::Result<()> {
    let directory = match directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let app = filled(agents, directory.path()).await?;
    let by = Operator::local();
    let token = app.registry.create_operator_token("bench", Role::Reader, &by, app.clock.now())?.token;
    let router = for_operators(&app);
    println!("\n{agents} agents, {DAYS} days; milliseconds until the page is there");
    println!("  {:<46} {:>9} {:>9} {:>9} {:>7}", "page", "at first", "again", "kB", "ratio");
    for page in PAGES {
        let (first, bytes) = ask(&router, page, &token).await?;
        let (again, _bytes) = ask(&router, page, &token).await?;
        println!(
            "  {page:<46} {first:>9.0} {again:>9.1} {:>9.0} {:>7.2}",
            bytes as f64 / 1e3,
            again / PROMISED_MS
        );
    }
    Ok(())
}

/// How long a page takes, and how large it is.
async fn ask(router: &Router, page: &str, token: &str) -> anyhow::Result<(f64, usize)> {
    let mut request = Request::get(page)
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "text/html")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())?;
    request.extensions_mut().insert(Peer::direct(Ipv4Addr::LOCALHOST.into()));
    let begun = Instant::now();
    let response = router.clone().oneshot(request).await?;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    let took = begun.elapsed();
    ensure!(status == StatusCode::OK, "{page}: {status}: {}", String::from_utf8_lossy(&body));
    Ok((took.as_secs_f64() * 1e3, body.len()))
}

/// A collector whose agents have measured.
async fn filled(agents: u32, directory: &Path) -> anyhow::Result<App> {
    let _prepared = fleet::prepare(directory, (agents, agents), 1, |_enrolled| ())?;
    let registry = Registry::open(&paths::registry(directory))?;
    let store = Arc::new(SqliteStore::open(&paths::store(directory))?);
    let mut fleet = Fleet::of(callers(&registry)?, StdRng::seed_from_u64(1))?;
    let end = BEGIN.plus(Duration::from_hours(24) * DAYS);
    let begun = Instant::now();
    let mut day = 0;
    for interval in intervals(end) {
        let batches = fleet.interval(interval, &mut Truth::new(), |_generated| {})?;
        let now = interval.end().plus(Duration::from_secs(5));
        try_join_all(batches.into_iter().map(|batch| store.put(batch))).await?;
        store.compact(now).await?;
        if now.since(BEGIN).as_secs() / 86_400 > day {
            day += 1;
            eprintln!("… day {day} after {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    let mut config = Config::default();
    directory.clone_into(&mut config.store.directory);
    let identity = Identity::open(directory)?;
    let clock = Clock::manual(end.plus(Duration::from_secs(90)));
    let store: Arc<dyn Store> = store;
    App::new(config, registry, store, clock, (&identity, "https://localhost:8443".to_owned()))
        .context("no collector")
}

/// The first quarter of every hour, and every minute of the last hour.
fn intervals(end: Timestamp) -> impl Iterator<Item = Interval> {
    let last_hour = end.minus(Duration::from_hours(1));
    let hours = (0..DAYS * 24 - 1)
        .map(|hour| (BEGIN.plus(Duration::from_hours(1) * hour), IntervalLength::QUARTER_HOUR));
    let minutes =
        (0..60).map(move |minute| (last_hour.plus(Duration::from_mins(minute)), IntervalLength::MINUTE));
    hours.chain(minutes).map(|(start, length)| Interval::containing(start, length))
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
