//! Availability: when targets answered, the outages, and the times in which nobody could know.

pub(super) mod drawn;

use super::{
    about::{About, renew_every},
    content::{Content, State as Stead},
    controls::{Choice, Controls, Select, any_of, option, usual},
    frame::{Frame, View, answer as page, export},
    ground::{Ground, Names},
    view::SPANS,
};
use crate::{
    api::{error::ApiError, reports::availability::answer},
    app::App,
    registry::Operator,
    report::{
        Dimension,
        availability::{AvailabilityQuestion, AvailabilityReport, DEFAULT_METRICS},
    },
    store::Retention,
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use drawn::{Drawn, drawn};
use peerlight_proto::{metric::Metric, time::Timestamp};

/// What rows are of unless it is asked for.
const BY: &str = "provider,location";
/// The groupings that are offered; others may stand in the address.
const GROUPINGS: [(&str, &[Dimension]); 5] = [
    ("provider", &[Dimension::Provider]),
    ("provider and location", &[Dimension::Provider, Dimension::Location]),
    ("site", &[Dimension::Provider, Dimension::Location, Dimension::Site]),
    ("provider and target", &[Dimension::Provider, Dimension::Target]),
    ("location and target", &[Dimension::Provider, Dimension::Location, Dimension::Target]),
];

#[derive(Template)]
#[template(path = "availability.html")]
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
    method: String,
    csv: String,
    json: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(mut asked): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    if !asked.iter().any(|(name, value)| name == "by" && !value.trim().is_empty()) {
        asked.push(("by".to_owned(), BY.to_owned()));
    }
    let pairs = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (question, faults) = AvailabilityQuestion::read(pairs, operator.organisation, now);
    let (names, content) = match Ground::lay(&app, &operator).await {
        Ok(ground) => (ground.names(), content(&app, &question, &ground, faults, now).await),
        Err(trouble) => (Names::default(), trouble.into()),
    };
    let status = content.status();
    page(status, &made(&operator, &question, &names, content))
}

async fn content(
    app: &App,
    question: &AvailabilityQuestion,
    ground: &Ground,
    faults: Vec<String>,
    now: Timestamp,
) -> Content<AvailabilityReport> {
    if let Some(empty) = ground.empty() {
        return Content::Empty(empty);
    }
    let kept = Retention::from(app.config.retention);
    answer(app.store.as_ref(), &ground.snapshot, question.clone(), faults, kept, now).await.into()
}

fn made(
    operator: &Operator,
    question: &AvailabilityQuestion,
    names: &Names,
    content: Content<AvailabilityReport>,
) -> Page {
    let asked = question.question();
    let usual_metrics = asked.metrics == DEFAULT_METRICS.into();
    let parameters: Vec<_> =
        asked.parameters().into_iter().filter(|(name, _)| *name != "metric" || !usual_metrics).collect();
    let (answer, state) = content.parts();
    let about = About::of(asked, View::Availability.path(), &parameters).up_to(asked);
    let mut selects = usual(names, &["provider", "location", "target"]);
    let value = |by: &[Dimension]| by.iter().map(|dimension| dimension.name()).collect::<Vec<_>>().join(",");
    let offered =
        GROUPINGS.iter().map(|(label, by)| Choice { label: (*label).to_owned(), ..option(&value(by), "") });
    selects.insert(0, Select { name: "by", label: "By", options: offered.collect() });
    selects.insert(0, metrics(names));
    Page {
        frame: Frame::new(View::Availability, "Availability".to_owned(), operator, &parameters),
        controls: Controls::new(View::Availability.path(), &parameters, &SPANS, selects),
        renew_every: renew_every(asked),
        about,
        state,
        shown: answer.map(|report| {
            let api = |format| export("/api/v1/reports/availability", &parameters, format);
            Shown { drawn: drawn(&report), method: report.method.clone(), csv: api("csv"), json: api("json") }
        }),
    }
}

fn metrics(names: &Names) -> Select {
    let offered: Vec<String> = names.metrics.iter().map(Metric::to_string).collect();
    let mut select = any_of("metric", "Metric", &offered);
    if let Some(any) = select.options.first_mut() {
        any.label = DEFAULT_METRICS.map(|metric| metric.to_string()).join(" and ");
    }
    select
}
