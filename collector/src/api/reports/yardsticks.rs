//! `/api/v1/reports/yardsticks`: what Microsoft calls good, held against what was measured.

use super::{
    ask,
    format::{Format, ParquetFile},
};
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    registry::Operator,
    report::{
        render::{ndjson, yardsticks as rendered},
        yardsticks::{YardsticksQuestion, YardsticksReport, yardsticks as hold},
    },
};
use axum::{Extension, extract::State, response::Response};
use http::HeaderMap;
use serde::Deserialize;

/// What may be asked; [`YardsticksQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct YardsticksQuery {
    /// The span that ends now: `24h`, `3d` (unless given) …
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`.
    pub from: Option<String>,
    /// The first instant after the span; now unless given.
    pub to: Option<String>,
    /// What rows are grouped by: site, provider and location unless given; or prefix, family. The target always is.
    pub by: Option<Vec<String>>,
    /// Only these providers.
    pub provider: Option<Vec<String>>,
    /// Only these locations; a country's code means all in it.
    pub location: Option<Vec<String>>,
    /// Only these sites.
    pub site: Option<Vec<String>>,
    /// Only these targets, by name, address or identity.
    pub target: Option<Vec<String>>,
    /// `json`, `ndjson`, `csv` or `parquet`; as `Accept` says unless given.
    pub format: Option<String>,
}

/// Points for Exchange Online, thresholds for Teams: pass or fail per site, with Microsoft's text as source.
#[utoipa::path(get, path = "/api/v1/reports/yardsticks", tag = "reports", params(YardsticksQuery), responses(
    (status = 200, content((YardsticksReport = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn yardsticks(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (organisation, now) = (operator.organisation, app.clock.now());
    let (question, format, errors) =
        Format::read(&parameters, &headers, |asked| YardsticksQuestion::read(asked, organisation, now));
    let report = hold(ask(&app, &operator, question.into_question(), errors).await?);
    format.answer(report, rendered::csv::render, ndjson::yardsticks)
}
