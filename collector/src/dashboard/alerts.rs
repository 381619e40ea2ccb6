//! Alerts: what fires now and what did lately, since when, who is to blame by which vote, who was told, and what operators said to it.

mod asked;
#[cfg(test)]
pub(super) mod fixture;
mod life;
mod maintenance;
mod one;
mod tables;

use super::{
    content::{Content, State as Stead},
    controls::{Controls, Select, any_of, option},
    frame::{Frame, View, address, answer as page},
    ground::Trouble,
    list::List,
    refusal::Refusal,
};
use crate::{
    alert::{Alert, AlertState, Maintenance, Rule},
    api::error::ApiError,
    app::App,
    organisation::OrganisationId,
    registry::{Operator, Registry, RegistryError},
};
use askama::Template;
use asked::{Asked, SEVERITIES, SPANS, STATES, spots};
use axum::{
    Extension, Router,
    extract::{Query, State},
    response::Response,
    routing::{get, post},
};
use life::Span;
use maintenance::{MaintenanceForm, Window};
use peerlight_proto::time::Timestamp;
use std::collections::BTreeSet;
use tables::{Row, maintenance_list, row, rules_list};

/// How often an open page asks for what is new, in seconds.
const RENEW_EVERY: u64 = 10;
/// How many alerts are listed; the rest is in the CSV.
const MAX_LISTED: usize = 500;

/// What the registry knows of alerts.
#[derive(Debug, Clone, Default)]
struct Known {
    alerts: Vec<Alert>,
    windows: Vec<Maintenance>,
    rules: Vec<Rule>,
    /// The names that a maintenance window may be about.
    providers: Vec<String>,
    locations: Vec<String>,
}

/// What is filled in of a maintenance window, what was wrong with it, and what was just done.
#[derive(Debug, Clone, Default)]
struct Filled {
    form: MaintenanceForm,
    refusal: Option<Refusal>,
    said: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    state: Stead,
    filled: Filled,
    shown: Option<Shown>,
}

struct Shown {
    summary: String,
    rows: Vec<Row>,
    ticks: Vec<super::chart::Tick>,
    more: usize,
    /// Whether there are alerts that are not asked for.
    others: bool,
    csv: String,
    json: String,
    /// Whether nothing is looked for.
    no_rule: bool,
    windows: Vec<Window>,
    maintenance_csv: String,
    providers: Vec<String>,
    locations: Vec<String>,
    rules: List,
}

/// The page, that of each alert, and its forms.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(View::Alerts.path(), get(show))
        .route("/alerts/maintenance", post(maintenance::add))
        .route("/alerts/maintenance/{id}/end", post(maintenance::end))
        .route("/alerts/{id}", get(one::show))
        .route("/alerts/{id}/acknowledgement", post(one::acknowledge))
        .route("/alerts/{id}/silence", post(one::silence))
}

async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let said = pairs.iter().find_map(|(name, value)| match (name.as_str(), value.as_str()) {
        ("done", "maintenance") => Some("The maintenance is announced."),
        ("done", "maintenance-over") => Some("The maintenance is over."),
        _ => None,
    });
    render(&app, &operator, &pairs, Filled { said, ..Filled::default() }).await
}

/// The page of what is asked, with what was filled in.
async fn render(
    app: &App,
    operator: &Operator,
    pairs: &[(String, String)],
    filled: Filled,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let given = || pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (asked, faults) = Asked::read(given());
    let organisation = operator.organisation;
    let known = app.ask(move |registry, now| known(registry, organisation, now));
    let (known, trouble) = match known.await {
        Ok(known) => (known, None),
        Err(_logged) => (Known::default(), Some(Trouble::unavailable("The registry does not answer"))),
    };
    let format = given().find(|(name, _)| *name == "format").map_or("", |(_, format)| format);
    let list = match format {
        "csv" => Some(tables::alerts_list(&wanted(&known.alerts, &asked, now), now)),
        "maintenance" => Some(maintenance_list(&known.windows, now)),
        "rules" => Some(rules_list(&known.rules)),
        _ => None,
    };
    let trouble = trouble.or_else(|| (!faults.is_empty()).then(|| Trouble::wrong(faults)));
    match (list, trouble) {
        (Some(list), None) => list.download(),
        (_, trouble) => {
            let content = trouble.map_or_else(|| Content::Answer(shown(&known, &asked, now)), Into::into);
            let status = filled.refusal.as_ref().map_or(content.status(), |refusal| refusal.status);
            page(status, &made(operator, &known.alerts, &asked, (content, filled)))
        }
    }
}

fn known(registry: &Registry, organisation: OrganisationId, now: Timestamp) -> Result<Known, RegistryError> {
    let providers = registry.providers(organisation)?.into_iter().filter(|provider| provider.ended.is_none());
    let locations = registry.locations(organisation)?.into_iter().filter(|location| location.ended.is_none());
    Ok(Known {
        alerts: registry.alerts(organisation, true)?,
        windows: registry.maintenance(organisation, false, now)?,
        rules: registry.alert_rules(organisation)?.rules,
        providers: providers.map(|provider| provider.name).collect(),
        locations: locations.map(|location| location.code).collect(),
    })
}

fn wanted<'a>(alerts: &'a [Alert], asked: &Asked, now: Timestamp) -> Vec<&'a Alert> {
    let mut wanted: Vec<_> = alerts.iter().filter(|alert| asked.wants(alert, now)).collect();
    // What fires stands first, then what may come to; of each the latest.
    wanted.sort_by_key(|alert| (urgency(alert), std::cmp::Reverse(alert.id)));
    wanted
}

const fn urgency(alert: &Alert) -> u8 {
    match alert.state {
        AlertState::Firing => 0,
        AlertState::Acknowledged => 1,
        AlertState::Pending => 2,
        AlertState::Resolved => 3,
    }
}

fn made(
    operator: &Operator,
    alerts: &[Alert],
    asked: &Asked,
    (content, filled): (Content<Shown>, Filled),
) -> Page {
    let parameters = asked.parameters();
    let (shown, state) = content.parts();
    let mut controls = Controls::new(View::Alerts.path(), &parameters, &SPANS, selects(alerts));
    controls.takes_instants = false;
    Page {
        frame: Frame::new(View::Alerts, "Alerts".to_owned(), operator, &parameters),
        controls,
        // What was refused stands at an address of its own, which only forms are sent to.
        renew_every: if filled.refusal.is_some() { 0 } else { RENEW_EVERY },
        state,
        filled,
        shown,
    }
}

fn shown(known: &Known, asked: &Asked, now: Timestamp) -> Shown {
    let alerts = wanted(&known.alerts, asked, now);
    let span = Span { from: now.minus(asked.last), to: now };
    let parameters = asked.parameters();
    let as_list = [("format", "csv".to_owned())];
    Shown {
        summary: summary(&alerts),
        rows: alerts.iter().take(MAX_LISTED).map(|alert| row(alert, span, now)).collect(),
        ticks: span.ticks(),
        more: alerts.len().saturating_sub(MAX_LISTED),
        others: !known.alerts.is_empty(),
        csv: address(View::Alerts.path(), parameters.iter().chain(&as_list)),
        json: "/api/v1/alerts?all=true".to_owned(),
        no_rule: known.rules.is_empty(),
        windows: known.windows.iter().map(|window| Window::of(window, now)).collect(),
        maintenance_csv: format!("{}?format=maintenance", View::Alerts.path()),
        providers: known.providers.clone(),
        locations: known.locations.clone(),
        rules: rules_list(&known.rules),
    }
}

/// How many there are in which state.
fn summary(alerts: &[&Alert]) -> String {
    let of = |state| alerts.iter().filter(|alert| alert.state == state).count();
    let all = [
        (AlertState::Firing, "firing"),
        (AlertState::Acknowledged, "looked after"),
        (AlertState::Pending, "pending"),
        (AlertState::Resolved, "over"),
    ];
    let counted = all.into_iter().map(|(state, word)| (of(state), word)).filter(|(count, _)| *count > 0);
    let parts: Vec<_> = counted.map(|(count, word)| format!("{count} {word}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn selects(alerts: &[Alert]) -> Vec<Select> {
    let blamed = |what: &'static str| {
        alerts.iter().flat_map(move |alert| {
            alert.culprit.names().into_iter().filter(move |(known, _)| *known == what).map(|(_, name)| name)
        })
    };
    let found = || alerts.iter().flat_map(spots);
    let providers: BTreeSet<String> =
        blamed("provider").chain(found().map(|spot| spot.provider.as_str())).map(str::to_owned).collect();
    let locations: BTreeSet<String> =
        blamed("location").chain(found().map(|spot| spot.location.as_str())).map(str::to_owned).collect();
    let states: Vec<_> = std::iter::once(option("", "any"))
        .chain(STATES.map(|state| option(state, if state == "open" { "not over" } else { state })))
        .collect();
    let severities: Vec<_> = std::iter::once(option("", "any"))
        .chain(SEVERITIES.map(|severity| option(severity.name(), severity.name())))
        .collect();
    vec![
        Select { name: "state", label: "State", options: states },
        Select { name: "severity", label: "Severity", options: severities },
        any_of("provider", "Provider", &providers),
        any_of("location", "Location", &locations),
    ]
}
