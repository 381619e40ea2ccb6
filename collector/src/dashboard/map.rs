//! Map: where the locations are, how fast the cloud is there, and what is wrong there now. Nothing is loaded for it: a graticule, and
//! Microsoft's front doors as landmarks.

mod drawn;
mod projection;

use super::{
    about::{About, renew_every},
    content::{Content, State as Stead},
    controls::{Controls, usual},
    frame::{Frame, View, answer as page},
    ground::{Ground, Names},
    list::List,
    overview::worries::Now,
    view::{self, SPANS, address},
};
use crate::{
    api::{
        error::ApiError,
        reports::{ReportError, edges::places},
    },
    app::App,
    geography::Places,
    registry::{Location, Operator},
    report::{Dimension, Question, Report},
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use drawn::{Drawn, drawn};
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// The span of a map that names none.
const DEFAULT_LAST: Duration = Duration::from_hours(24);
/// What a question without a grouping of its own asks, as the overview does.
const BY: [Dimension; 2] = [Dimension::Location, Dimension::Provider];

/// What the page is made of.
struct Answer {
    /// By location.
    report: Report,
    now: Option<Now>,
    places: Places,
    names: BTreeMap<String, String>,
}

#[derive(Template)]
#[template(path = "map.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    shown: Option<Shown>,
}

struct Shown {
    drawn: Drawn,
    unknown: Vec<String>,
    csv: String,
    json: String,
    table: List,
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
            let question = Question { by: vec![Dimension::Location], ..question };
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
    let report = ground.latency(app, question.clone(), now).await?;
    let at_present = match question.last {
        Some(_) => {
            let by_both = Question { by: BY.into(), ..question.clone() };
            let usual = ground.latency(app, by_both.clone(), now).await?;
            Some(super::overview::present(app, &by_both, ground, &usual, now).await?)
        }
        None => None,
    };
    let organisation = question.organisation;
    // Without the registry's coordinates a location is where its subdivision is.
    let locations = app.ask(move |registry, _now| registry.locations(organisation)).await.unwrap_or_default();
    let places = places(&locations);
    let names = locations.into_iter().map(|Location { code, name, .. }| (code, name)).collect();
    Ok(Answer { report, now: at_present, places, names })
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
    let about = About::of(question, View::Map.path(), &parameters);
    let selects = usual(names, &["metric", "provider", "location", "target"]);
    Page {
        frame: Frame::new(View::Map, "Map".to_owned(), operator, &parameters),
        controls: Controls::new(View::Map.path(), &parameters, &SPANS, selects),
        renew_every: renew_every(question),
        about: about.measured(answer.as_ref().and_then(|answer| answer.report.measured_until), now),
        state,
        shown: answer.map(|answer| shown(question, &answer)),
    }
}

fn shown(question: &Question, answer: &Answer) -> Shown {
    let api = |format| address("/api/v1/reports/latency", question, &[("format", format)]);
    let spots = drawn::spots(question, answer);
    Shown {
        unknown: answer.now.as_ref().map(|now| now.unknown.clone()).unwrap_or_default(),
        table: drawn::table(&spots, api("csv")),
        drawn: drawn(&spots),
        csv: api("csv"),
        json: api("json"),
    }
}
