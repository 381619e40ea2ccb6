//! The overview: every location by every provider at one look, and what is wrong now.

pub(super) mod grid;
pub(super) mod spark;
pub(super) mod worries;

use super::{
    about::{About, renew_every},
    content::{Content, State as Stead},
    controls::{Controls, usual},
    frame::{Frame, View, answer as page},
    ground::{Ground, Names, Trouble},
    trend::Trend,
    view::{self, SPANS, address},
};
use crate::{
    alert::Alert,
    api::{
        agents::judged,
        error::ApiError,
        reports::{ReportError, availability},
    },
    app::App,
    organisation::OrganisationId,
    registry::{AgentEntry, AgentQuery, Location, Operator},
    report::{
        Dimension, Question, Report,
        availability::{AvailabilityQuestion, AvailabilityReport},
    },
    store::Retention,
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use grid::{Grid, grid};
use peerlight_proto::{duration, time::Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use worries::{Evidence, Now, RECENT, worries};

/// The span of an overview that names none.
const DEFAULT_LAST: Duration = Duration::from_hours(24);
/// Outages are looked for in this span before now.
const OUTAGES_IN: Duration = Duration::from_hours(1);
const BY: [Dimension; 2] = [Dimension::Location, Dimension::Provider];

/// What the page is made of.
struct Answer {
    trend: Trend,
    names: BTreeMap<String, String>,
    now: Option<Now>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    shown: Option<Shown>,
}

struct Shown {
    now: Option<Now>,
    grid: Grid,
    step: String,
    change_note: String,
    csv: String,
    json: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let (question, faults) = view::spanning(&asked, DEFAULT_LAST, operator.organisation, now);
    let (question, names, content) = match Ground::lay(&app, &operator).await {
        Ok(ground) => {
            let (question, faults) = view::answerable(question, faults, &ground, now);
            let question = Question { by: BY.into(), ..question };
            let content = ground.content(faults, answer(&app, &question, &ground, now)).await;
            (question, ground.names(), content)
        }
        Err(trouble) => (question, Names::default(), trouble.into()),
    };
    let status = content.status();
    page(status, &made(&operator, &question, &names, content, now))
}

async fn answer(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<Answer, ReportError> {
    let trend = Trend::find(app, question, ground, now).await?;
    let at_present = match question.last {
        Some(_) => Some(present(app, question, ground, &trend.report, now).await?),
        None => None,
    };
    let names = location_names(app, question.organisation).await;
    Ok(Answer { trend, names, now: at_present })
}

/// What is wrong now. What cannot be found out is said, and takes nothing from the rest.
pub(super) async fn present(
    app: &App,
    question: &Question,
    ground: &Ground,
    usual: &Report,
    now: Timestamp,
) -> Result<Now, ReportError> {
    let recent = Question { from: now.minus(RECENT), to: now, last: Some(RECENT), ..question.clone() };
    let recent = ground.latency(app, recent, now).await?;
    let outages = outages(app, question, ground, now).await;
    let outages =
        outages.map_err(|error| format!("Outages are not known: {}", Trouble::from(error).errors.join("; ")));
    let (agents, alerts) = (agents(app, question).await, alerts(app, question).await);
    Ok(worries(&Evidence {
        question,
        usual,
        recent: &recent,
        outages: outages.as_ref(),
        alerts: &alerts,
        agents: agents.as_deref(),
        now,
    }))
}

async fn outages(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<AvailabilityReport, ReportError> {
    let there = Question { last: Some(OUTAGES_IN), by: BY.into(), step: None, ..question.clone() };
    let parameters = there.parameters();
    let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let (asked, faults) = AvailabilityQuestion::read(pairs, question.organisation, now);
    let kept = Retention::from(app.config.retention);
    availability::answer(app.store.as_ref(), &ground.snapshot, asked, faults, kept, now).await
}

/// The agents of the sites that are asked for, as the list of agents judges them.
async fn agents(app: &App, question: &Question) -> Option<Vec<AgentEntry>> {
    let organisation = question.organisation;
    let found = app.ask(move |registry, now| registry.list_agents(organisation, &AgentQuery::default(), now));
    let found = found.await.ok()?.into_iter().map(|agent| judged(app, agent));
    let wanted = |agent: &AgentEntry| {
        app.registry
            .registration(organisation, agent.registration)
            .is_ok_and(|registration| question.wants(&registration))
    };
    Some(found.filter(wanted).collect())
}

/// The alerts that people were told of and that are not over, where a site that is asked for is affected. Where the registry does not
/// answer, that is said of agents.
async fn alerts(app: &App, question: &Question) -> Vec<Alert> {
    let organisation = question.organisation;
    let open = app.ask(move |registry, _now| registry.alerts(organisation, false)).await.unwrap_or_default();
    let mut told: Vec<_> = open.into_iter().filter(|alert| alert.state.is_told()).collect();
    if !told.is_empty() {
        let registrations = app.registry.registrations(organisation);
        let wanted = registrations.iter().filter(|entry| question.wants(entry));
        let sites: BTreeSet<&str> = wanted.map(|entry| entry.site.as_str()).collect();
        told.retain(|alert| alert.evidence.sites.iter().any(|site| sites.contains(site.as_str())));
    }
    told
}

/// What people call locations; without it they are shown by their codes.
pub(super) async fn location_names(app: &App, organisation: OrganisationId) -> BTreeMap<String, String> {
    let locations = app.ask(move |registry, _now| registry.locations(organisation)).await.unwrap_or_default();
    locations.into_iter().map(|Location { code, name, .. }| (code, name)).collect()
}

fn made(
    operator: &Operator,
    question: &Question,
    names: &Names,
    content: Content<Answer>,
    now: Timestamp,
) -> Page {
    let parameters: Vec<_> = question.parameters().into_iter().filter(|(name, _)| *name != "by").collect();
    let (answer, state) = content.parts();
    let about = About::of(question, View::Overview.path(), &parameters);
    let selects = usual(names, &["metric", "provider", "location", "target"]);
    Page {
        frame: Frame::new(View::Overview, "Overview".to_owned(), operator, &parameters),
        controls: Controls::new(View::Overview.path(), &parameters, &SPANS, selects),
        renew_every: renew_every(question),
        about: about.measured(answer.as_ref().and_then(|answer| answer.trend.report.measured_until), now),
        state,
        shown: answer.map(|answer| shown(question, answer)),
    }
}

fn shown(question: &Question, answer: Answer) -> Shown {
    let api = |format| address("/api/v1/reports/latency", question, &[("format", format)]);
    Shown {
        grid: grid(
            question,
            &answer.trend.report,
            &answer.trend.course,
            answer.trend.before.as_ref(),
            &answer.names,
        ),
        now: answer.now,
        step: duration::text(answer.trend.step),
        change_note: answer
            .trend
            .before
            .as_ref()
            .map(|_| "With a sign: the median against that of as long a span before.".to_owned())
            .unwrap_or_default(),
        csv: api("csv"),
        json: api("json"),
    }
}
