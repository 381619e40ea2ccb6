//! One alert: its life, the vote, what it rests on, who was told, and the forms by which operators say something to it.

use super::{
    super::{
        frame::{Frame, View, answer as page},
        list::{Cell, List, numbers, times, words},
    },
    life::{lasted, steps},
    tables::{mark, notes, readings_list},
};
use crate::{
    alert::{Alert, AlertState, Aspect, Evidence, Rule},
    api::{
        error::ApiError,
        extract::{Form, Path},
    },
    app::App,
    registry::{AlertNote, AlertSilence, DeliveryEntry, Operator, Role},
    rfc3339,
};
use askama::Template;
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use http::StatusCode;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "alert.html")]
struct Page {
    frame: Frame,
    renew_every: u64,
    id: u64,
    class: &'static str,
    mark: &'static str,
    summary: String,
    facts: Vec<(&'static str, String)>,
    votes: Vec<String>,
    notes: Vec<String>,
    part_of: Option<u64>,
    figures: String,
    json: String,
    /// Whether there is still something to say to it.
    open: bool,
    silenced: bool,
    tables: Vec<List>,
}

/// A note.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NoteForm {
    #[serde(default)]
    note: String,
}

/// How long receivers are to hear nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SilenceForm {
    #[serde(default, rename = "for")]
    lasting: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<u64>,
) -> Result<Response, ApiError> {
    let organisation = operator.organisation;
    let known = app.ask(move |registry, _now| {
        let (alert, rules) = (registry.alert(organisation, id)?, registry.alert_rules(organisation)?.rules);
        Ok((alert, rules, registry.deliveries(organisation, id)?))
    });
    let (alert, rules, deliveries) = known.await?;
    page(StatusCode::OK, &made(&operator, &alert, &rules, &deliveries, app.clock.now()))
}

/// Notes that the operator looks after it.
pub(super) async fn acknowledge(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<u64>,
    Form(form): Form<NoteForm>,
) -> Result<Response, ApiError> {
    let note = AlertNote { note: form.note };
    app.ask(move |registry, now| registry.acknowledge_alert(id, &note, &operator, now)).await?;
    Ok(Redirect::to(&format!("{}/{id}", View::Alerts.path())).into_response())
}

/// Keeps people from being told of it for a while; for no time ends that.
pub(super) async fn silence(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<u64>,
    Form(form): Form<SilenceForm>,
) -> Result<Response, ApiError> {
    let lasting = humantime::parse_duration(form.lasting.trim()).map_err(|error| {
        let wrong = format!("for: write a length of time such as 4h: {error}");
        ApiError::invalid("the alert was not silenced", vec![wrong])
    })?;
    let silence = AlertSilence { until: rfc3339::text(app.clock.now().plus(lasting)) };
    app.ask(move |registry, now| registry.silence_alert(id, &silence, &operator, now)).await?;
    Ok(Redirect::to(&format!("{}/{id}", View::Alerts.path())).into_response())
}

fn made(
    operator: &Operator,
    alert: &Alert,
    rules: &[Rule],
    deliveries: &[DeliveryEntry],
    now: Timestamp,
) -> Page {
    let evidence = &alert.evidence;
    let mut tables = vec![life(alert), found("found", "What was found", evidence, rules)];
    if let Some(first) = alert.evidence_at_first.as_ref().filter(|first| *first != evidence) {
        tables.push(found("found-first", "What was found when it fired", first, rules));
    }
    tables.push(told(deliveries));
    Page {
        frame: Frame::new(View::Alerts, format!("Alert {}", alert.id), operator, &[]),
        renew_every: if alert.state == AlertState::Resolved { 0 } else { super::RENEW_EVERY },
        id: alert.id,
        class: alert.state.name(),
        mark: mark(alert),
        summary: alert.summary.clone(),
        facts: facts(alert, now),
        votes: evidence.votes.iter().map(ToString::to_string).collect(),
        notes: notes(alert, now),
        part_of: alert.part_of,
        figures: evidence.report.replacen("/api/v1/reports", "", 1),
        json: format!("/api/v1/alerts/{}", alert.id),
        open: alert.state != AlertState::Resolved && operator.role == Role::Administrator,
        silenced: alert.silenced_until.is_some_and(|until| until > now),
        tables,
    }
}

fn facts(alert: &Alert, now: Timestamp) -> Vec<(&'static str, String)> {
    let about = match alert.aspect {
        Aspect::Reachability => "how well targets are reached",
        Aspect::Attribution => "whether traffic leaves as it is registered",
        Aspect::Interception => "whether it is the target that answers",
    };
    let named = |names: &[String], count: u64| {
        let more = count.saturating_sub(names.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{count}: {}{more}", names.join(", "))
    };
    let evidence = &alert.evidence;
    vec![
        ("state", format!("{}, {}", alert.state, alert.severity)),
        ("since", rfc3339::seconds(alert.since)),
        (if alert.resolved.is_some() { "lasted" } else { "lasts" }, lasted(alert, now)),
        ("about", about.to_owned()),
        ("rules", alert.rules.iter().cloned().collect::<Vec<_>>().join(", ")),
        ("sites", named(&evidence.sites, evidence.site_count)),
        ("targets", named(&evidence.targets, evidence.target_count)),
    ]
}

fn life(alert: &Alert) -> List {
    List {
        id: "life",
        title: "Life",
        columns: vec![times("when"), words("what")],
        rows: steps(alert)
            .into_iter()
            .map(|step| vec![Cell::of(rfc3339::seconds(step.at)), Cell::of(step.what)])
            .collect(),
        ..List::default()
    }
}

fn found(id: &'static str, title: &'static str, evidence: &Evidence, rules: &[Rule]) -> List {
    List {
        id,
        title,
        note: format!("as of {}, the gravest first", rfc3339::seconds(evidence.at)),
        ..readings_list(&evidence.readings, rules)
    }
}

fn told(deliveries: &[DeliveryEntry]) -> List {
    let line = |delivery: &DeliveryEntry| {
        let became = match (delivery.delivered, delivery.ended) {
            (true, _) => "delivered",
            (false, Some(_)) => "given up",
            (false, None) => "waiting",
        };
        vec![
            Cell::of(&delivery.receiver),
            Cell::of(delivery.kind.name()),
            Cell::of(rfc3339::seconds(delivery.created)),
            Cell { warn: !delivery.delivered && delivery.error.is_some(), ..Cell::of(became) },
            Cell::of(delivery.attempts.to_string()),
            Cell::or_none(delivery.error.as_ref()),
        ]
    };
    List {
        id: "told",
        title: "Who was told",
        empty: "No receiver was told; [alerts] of the collector's configuration names them.".to_owned(),
        columns: vec![
            words("receiver"),
            words("of what"),
            times("at"),
            words("became"),
            numbers("attempts"),
            words("last error"),
        ],
        rows: deliveries.iter().map(line).collect(),
        ..List::default()
    }
}
