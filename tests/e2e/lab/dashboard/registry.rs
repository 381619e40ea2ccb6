//! The pages about who measures what, and about what is wrong: what is registered and what fires is the scenario's.

use super::{browsing::Browsing, truth::Known};
use peerlight_browser::table::Table;
use peerlight_collector::{
    alert::Alert,
    api::list::List,
    registry::{AgentEntry, AuditEntry, Registration},
    report::{Report, render::figure},
    rfc3339,
};
use peerlight_lab::eventually::{Look, eventually};
use peerlight_proto::time::Timestamp;
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// The only site whose path is slower than the rule allows.
const SLOW: (&str, &str, &str) = ("seattle-2", "Sample Networks", "US-WA");
/// How long the collector may take to judge its rules once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every page of the registry and of alerts is the API's and the scenario's.
pub(super) async fn assert_true(browsing: &Browsing, known: &Known) {
    sites(browsing, known).await;
    targets(browsing, known).await;
    registrations(browsing, known).await;
    alerts(browsing, known).await;
    drop(browsing.tables("/sign-in", "sign-in").await);
}

fn only<'a>(table: &'a Table, name: &str) -> &'a [String] {
    let found = table.rows_of(&[name]);
    assert_eq!(found.len(), 1, "{name} in {table:#?}");
    found[0]
}

async fn sites(browsing: &Browsing, known: &Known) {
    let table = browsing.table("/sites", "agents").await;
    let agents: List<AgentEntry> = browsing.api("agents").await;
    assert_eq!((agents.items.len(), table.rows.len()), (known.scenario.sites.len(), agents.items.len()));
    for site in &known.scenario.sites {
        let agent = agents.items.iter().find(|agent| agent.site == site.name).unwrap();
        let line = only(&table, &site.name);
        let figure = |column: &str| table.figure(line, column).to_owned();
        assert_eq!(line[1], format!("{} {}", site.provider, site.location));
        let health = agent.health.as_ref().unwrap();
        assert_eq!(figure("waiting batches"), health.spooled_batches.to_string());
        assert_eq!(
            (figure("version"), figure("given up")),
            (env!("CARGO_PKG_VERSION").to_owned(), "0".to_owned())
        );
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let late = health.noise_p99_us.map(|us| figure::ms(us as f64 / 1_000.0));
        assert_eq!(Some(figure("late by, ms (p99)")), late);
        // Agents and collector have one clock.
        assert!(agent.clock_offset_us.unwrap().abs() < 1_000_000, "{agent:?}");
    }
}

async fn targets(browsing: &Browsing, known: &Known) {
    let table = browsing.table("/targets", "measured").await;
    let described: BTreeSet<(String, String)> = known
        .scenario
        .targets
        .iter()
        .flat_map(|target| {
            target.probes.iter().map(|probe| (target.name.clone(), format!("{probe:?}").to_lowercase()))
        })
        .collect();
    let told: BTreeSet<_> = table
        .rows
        .iter()
        .map(|row| {
            let probe = row[2].split(':').next().unwrap().to_owned();
            assert_eq!(table.figure(row, "agents"), "6", "{row:?}");
            (table.figure(row, "target").to_owned(), probe)
        })
        .collect();
    assert_eq!(told, described);
}

async fn registrations(browsing: &Browsing, known: &Known) {
    let table = browsing.table("/registry", "registrations").await;
    let registered: List<Registration> = browsing.api("registrations").await;
    assert_eq!(
        (registered.items.len(), table.rows.len()),
        (known.scenario.sites.len(), registered.items.len())
    );
    for site in &known.scenario.sites {
        let entry = registered.items.iter().find(|entry| entry.site == site.name).unwrap();
        let line = only(&table, &site.name);
        let prefixes: Vec<_> = entry.prefixes.iter().map(ToString::to_string).collect();
        assert_eq!(line[1..3], [site.provider.clone(), site.location.clone()]);
        assert!(line[3].starts_with(&prefixes.join(", ")), "{line:?}");
        // A /24 is a unit of Azure Peering Service, and IPv6 has no price.
        assert_eq!(table.figure(line, "a month"), "$15");
    }
}

async fn alerts(browsing: &Browsing, known: &Known) {
    let (site, provider, location) = SLOW;
    let status: Value = browsing.api("status").await;
    let stands = rfc3339::parse(status["time"].as_str().unwrap()).unwrap();
    let alert = judged(browsing, stands).await;
    assert!(alert.rules.iter().eq(["slow"]) && alert.evidence.site_count == 1, "{alert:?}");

    let table = browsing.table("/alerts", "alerts").await;
    let line = only(&table, &alert.id.to_string());
    assert!(table.rows.len() == 1 && line[1].starts_with(&alert.state.to_string()), "{line:?}");
    assert!(line[2].starts_with(&alert.summary) && line[2].contains(site), "{line:?}");
    let told = ["since", "fired"].map(|column| table.figure(line, column).to_owned());
    assert_eq!(told, [alert.since, alert.fired.unwrap()].map(rfc3339::seconds));

    let tables = browsing.tables(&format!("/alerts/{}", alert.id), "one-alert").await;
    let found = tables.iter().find(|table| table.place == "found").unwrap();
    let of = alert.evidence.report.strip_prefix("/api/v1/").unwrap();
    let report: Report = browsing.api(of).await;
    assert_eq!((alert.evidence.readings.len(), found.rows.len()), (3, 3));
    for reading in &alert.evidence.readings {
        let told = figure::ms(reading.value.unwrap());
        let is_it = |line: &&Vec<String>| line.contains(&reading.spot.target);
        let line = found.rows.iter().find(is_it).unwrap();
        assert_eq!(line[0], format!("{told} ms"));
        assert_eq!(found.figure(line, "samples"), reading.samples.to_string());
        known.assert_possible(provider, location, &told);
        let same = |name: &Option<String>| name.as_deref() == Some(reading.spot.target.as_str());
        let row = report.rows.iter().find(|row| same(&row.group.target)).unwrap();
        assert_eq!(row.latency_incl_loss_ms.p50, reading.value, "{row:?}");
    }
}

/// The only alert, once the collector has judged its rules by the clock that stands.
async fn judged(browsing: &Browsing, stands: Timestamp) -> Alert {
    let judged = eventually("the rules' turn after the run", PATIENCE, async || {
        let alerts: List<Alert> = browsing.api("alerts").await;
        match <[Alert; 1]>::try_from(alerts.items) {
            Ok([alert]) if alert.evidence.at >= stands => Look::Holds(alert),
            Ok([alert]) => Look::NotYet(format!("{alert:?}")),
            Err(others) => Look::NotYet(format!("{others:?}")),
        }
    });
    judged.await.unwrap()
}

/// The audit is the API's; nothing may be changed meanwhile.
pub(super) async fn assert_audit_is_whole(browsing: &Browsing) {
    let table = browsing.table("/audit?limit=1000", "audit").await;
    let changes: List<AuditEntry> = browsing.api("audit?limit=1000").await;
    let told: Vec<_> = table.rows.iter().map(|row| row[..4].to_vec()).collect();
    let known: Vec<_> = changes
        .items
        .into_iter()
        .map(|change| vec![rfc3339::seconds(change.at), change.who, change.what, change.object])
        .collect();
    assert_eq!(told, known);
}
