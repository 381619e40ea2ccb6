//! Edges: which of Microsoft's front doors served whom, how that changed, whether they are near, and what light has to say to it.

mod drawn;
mod lists;

use super::{
    about::{About, renew_every},
    content::{Content, State as Stead},
    controls::{Choice, Controls, Parameters, Select, option, usual},
    frame::{Frame, View, answer as page, export},
    ground::{Ground, Names},
    list::List,
    view::SPANS,
};
use crate::{
    api::{
        error::ApiError,
        reports::{
            ReportError,
            edges::{both_given, places},
        },
    },
    app::App,
    registry::Operator,
    report::{
        Dimension, Groups, Question,
        edges::{EdgesQuestion, EdgesReport},
        physics::PhysicsReport,
    },
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use drawn::{Colour, Mix, colours, mixes};
use peerlight_proto::time::Timestamp;
use std::sync::Arc;

/// The groupings that are offered; others may stand in the address. The location always is one.
const GROUPINGS: [(&str, &[Dimension]); 4] = [
    ("provider, location and target", &[Dimension::Provider, Dimension::Location, Dimension::Target]),
    ("provider and location", &[Dimension::Provider, Dimension::Location]),
    ("location and target", &[Dimension::Location, Dimension::Target]),
    ("site and target", &[Dimension::Provider, Dimension::Location, Dimension::Site, Dimension::Target]),
];
/// The most groups that are drawn.
const MAX_MIXES: usize = 24;

/// What the page is made of.
struct Answer {
    edges: EdgesReport,
    physics: PhysicsReport,
}

#[derive(Template)]
#[template(path = "edges.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    shown: Option<Shown>,
}

struct Shown {
    key: Vec<Colour>,
    mixes: Vec<Mix>,
    more: usize,
    shifted: usize,
    impossible: Vec<String>,
    notes: Vec<String>,
    codes: String,
    method: String,
    csv: String,
    json: String,
    tables: Vec<List>,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let pairs = || asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (mut question, mut faults) = EdgesQuestion::read(pairs(), operator.organisation, now);
    let is_given = |what: &str| pairs().any(|(name, value)| name == what && !value.trim().is_empty());
    let mut stepped = is_given("step");
    let (names, content) = match Ground::lay(&app, &operator).await {
        Ok(ground) => {
            if !faults.is_empty() {
                let asked = question.slotted().question();
                faults.extend(asked.unknown_names(&ground.snapshot.registrations, &ground.presence));
            } else if !stepped && !is_given("by") && is_too_much(&question, &ground) {
                (question, stepped) = (question.coarser(), true);
            }
            let content = ground.content(faults, answer(&app, &question, &ground, now)).await;
            (ground.names(), content)
        }
        Err(trouble) => (Names::default(), trouble.into()),
    };
    let status = content.status();
    page(status, &made(&operator, question.slotted().question(), stepped, &names, content))
}

/// Whether this asks for more than one answer holds.
fn is_too_much(question: &EdgesQuestion, ground: &Ground) -> bool {
    let slotted = question.slotted();
    let registrations = ground.snapshot.registrations.clone();
    let groups = Groups::new(slotted.question().clone(), registrations, &ground.presence);
    slotted.too_much(&groups, &ground.presence).is_some()
}

async fn answer(
    app: &App,
    question: &EdgesQuestion,
    ground: &Ground,
    now: Timestamp,
) -> Result<Answer, ReportError> {
    let organisation = question.slotted().question().organisation;
    // Without the registry's coordinates a location is as wide as its subdivision.
    let locations = app.ask(move |registry, _now| registry.locations(organisation)).await.unwrap_or_default();
    let known = (Arc::clone(&ground.snapshot), Arc::clone(&ground.presence));
    let (edges, physics) =
        both_given(app.store.as_ref(), known, places(&locations), question.clone(), now).await?;
    Ok(Answer { edges, physics })
}

/// The parameters that ask the same again of this page and of both reports, which take no metric.
fn parameters(question: &Question, stepped: bool) -> Parameters {
    let own = question.parameters().into_iter();
    own.filter(|(name, _)| *name != "metric" && (*name != "step" || stepped)).collect()
}

fn made(
    operator: &Operator,
    question: &Question,
    stepped: bool,
    names: &Names,
    content: Content<Answer>,
) -> Page {
    let parameters = parameters(question, stepped);
    let (answer, state) = content.parts();
    let mut selects = usual(names, &["provider", "location", "target"]);
    let value = |by: &[Dimension]| by.iter().map(|dimension| dimension.name()).collect::<Vec<_>>().join(",");
    let offered =
        GROUPINGS.iter().map(|(label, by)| Choice { label: (*label).to_owned(), ..option(&value(by), "") });
    selects.insert(0, Select { name: "by", label: "By", options: offered.collect() });
    Page {
        frame: Frame::new(View::Edges, "Edges".to_owned(), operator, &parameters),
        controls: Controls::new(View::Edges.path(), &parameters, &SPANS, selects),
        renew_every: renew_every(question),
        about: About::of(question, View::Edges.path(), &parameters),
        state,
        shown: answer.map(|answer| shown(&answer, &parameters)),
    }
}

fn shown(Answer { edges, physics }: &Answer, parameters: &Parameters) -> Shown {
    let key = colours(edges);
    let physics_csv = export("/api/v1/reports/physics", parameters, "csv");
    let named = edges.rows.iter().any(|row| row.requests > 0);
    Shown {
        mixes: mixes(edges, &key).into_iter().take(MAX_MIXES).collect(),
        more: edges.rows.iter().filter(|row| row.requests > 0).count().saturating_sub(MAX_MIXES),
        shifted: edges.rows.iter().filter(|row| row.shift_count > 0).count(),
        impossible: lists::impossible(physics),
        notes: lists::notes(edges),
        codes: edges.codes.clone(),
        method: physics.method.clone(),
        csv: export("/api/v1/reports/edges", parameters, "csv"),
        json: export("/api/v1/reports/edges", parameters, "json"),
        // Where no front door was named there is nothing to list, and nothing shifted.
        tables: named
            .then(|| {
                [
                    lists::doors(edges, export("/api/v1/reports/edges", parameters, "csv")),
                    lists::shifts(edges),
                ]
            })
            .into_iter()
            .flatten()
            .chain([lists::physics(physics, physics_csv)])
            .collect(),
        key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::reports::Snapshot,
        organisation::OrganisationId,
        report::fixture::{presence, registration, series},
        store::Presences,
    };
    use peerlight_proto::metric::Metric;

    /// What an organisation has measured at one place: so many targets, for the day before `now`.
    fn ground(targets: usize, now: Timestamp) -> Ground {
        let (first, last) = (now.as_secs() - 86_400, now.as_secs());
        let one = |target| presence(&series(Metric::HttpsTcp, &format!("target-{target}")), first, last);
        let presence: Presences = (0..targets).map(one).collect();
        let registrations = [registration(1, "Aurora", "GB-LND")].into_iter().collect();
        let snapshot = Snapshot { registrations, ..Snapshot::default() };
        Ground { snapshot: Arc::new(snapshot), presence: Arc::new(presence) }
    }

    #[test]
    fn a_page_that_nobody_could_answer_asks_for_less() {
        let now = Timestamp::from_secs(1_790_000_000);
        let (question, faults) = EdgesQuestion::read([("last", "24h")], OrganisationId::DEFAULT, now);
        assert!(faults.is_empty());
        assert!(!is_too_much(&question, &ground(200, now)));
        assert!(is_too_much(&question, &ground(300, now)));
        assert!(!is_too_much(&question.coarser(), &ground(300, now)));
    }
}
