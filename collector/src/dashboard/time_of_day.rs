//! The time of day: how latency and loss go with the hour that clocks show at the location.

mod drawn;

use super::{
    about::About,
    content::{Content, State as Stead},
    controls::{Controls, Select, option, usual},
    frame::{Frame, View, answer as page, export},
    ground::{Ground, Names, Trouble},
    view::default_metric,
};
use crate::{
    api::{error::ApiError, reports::time_of_day::answer},
    app::App,
    registry::Operator,
    report::time_of_day::{TimeOfDayQuestion, TimeOfDayReport},
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use drawn::{Day, MAX_DAYS, days};
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// The spans that are one click away: a difference takes twelve days.
const SPANS: [(&str, Duration); 4] = [
    ("7d", Duration::from_hours(7 * 24)),
    ("14d", Duration::from_hours(14 * 24)),
    ("28d", Duration::from_hours(28 * 24)),
    ("90d", Duration::from_hours(90 * 24)),
];

#[derive(Template)]
#[template(path = "time_of_day.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    shown: Option<Shown>,
}

struct Shown {
    days: Vec<Day>,
    more: usize,
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
    let (names, ground) = match Ground::lay(&app, &operator).await {
        Ok(ground) => (ground.names(), Ok(ground)),
        Err(trouble) => (Names::default(), Err(trouble)),
    };
    if !asked.iter().any(|(name, value)| name == "metric" && !value.trim().is_empty()) {
        asked.push(("metric".to_owned(), default_metric(&names.metrics).to_string()));
    }
    let pairs = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (question, faults) = TimeOfDayQuestion::read(pairs, operator.organisation, now);
    let content = match ground {
        Ok(ground) => content(&app, &question, &ground, faults, now).await,
        Err(trouble) => trouble.into(),
    };
    let status = content.status();
    page(status, &made(&operator, &question, &names, content))
}

async fn content(
    app: &App,
    question: &TimeOfDayQuestion,
    ground: &Ground,
    mut faults: Vec<String>,
    now: Timestamp,
) -> Content<TimeOfDayReport> {
    if let Some(empty) = ground.empty() {
        return Content::Empty(empty);
    }
    faults.extend(question.too_old(app.config.retention.quarter_hour, now));
    let organisation = question.question().organisation;
    let Ok(locations) = app.ask(move |registry, _now| registry.locations(organisation)).await else {
        return Trouble::unavailable("The registry does not answer").into();
    };
    let known = (ground.snapshot.registrations.clone(), locations);
    answer(app.store.as_ref(), known, question.clone(), faults, now).await.into()
}

fn made(
    operator: &Operator,
    question: &TimeOfDayQuestion,
    names: &Names,
    content: Content<TimeOfDayReport>,
) -> Page {
    let parameters = question.parameters();
    let (answer, state) = content.parts();
    let about =
        About::of(question.question(), View::TimeOfDay.path(), &parameters).up_to(question.question());
    let mut selects = usual(names, &["metric", "provider", "location", "target"]);
    let which = [
        ("", "every day"),
        ("weekdays", "weekdays"),
        ("weekends", "weekends"),
        ("apart", "weekdays and weekends apart"),
    ];
    let which = which.map(|(value, label)| option(value, label));
    selects.insert(1, Select { name: "days", label: "Days", options: which.into() });
    let api = |format| export("/api/v1/reports/time-of-day", &parameters, format);
    Page {
        frame: Frame::new(View::TimeOfDay, "Time of day".to_owned(), operator, &parameters),
        controls: Controls::new(View::TimeOfDay.path(), &parameters, &SPANS, selects),
        renew_every: 0,
        about,
        state,
        shown: answer.map(|report| Shown {
            days: days(&report),
            more: report.rows.len().saturating_sub(MAX_DAYS),
            method: report.method.clone(),
            csv: api("csv"),
            json: api("json"),
        }),
    }
}
