//! `/metrics`: the collector observed, for Prometheus.

use super::{
    error::ApiError,
    status::{census, vitals},
};
use crate::{
    app::App,
    fleet::{Exposition, each_agent},
    key_life::KeyLife,
    organisation::OrganisationId,
    registry::Operator,
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

/// What it is written in.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Renders the metrics.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus's text format", content_type = "application/openmetrics-text")))]
pub async fn show(State(app): State<App>) -> Result<Response, ApiError> {
    let vitals = vitals(&app, OrganisationId::DEFAULT).await?;
    let versions = census(&app, OrganisationId::DEFAULT).await?.versions;
    app.metrics.versions(&versions);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], app.metrics.render(&vitals)).into_response())
}

/// Renders every agent: a scrape of its own, since it grows with the fleet.
#[utoipa::path(get, path = "/metrics/agents", tag = "operation",
    responses((status = 200, description = "Prometheus's text format: last contact, clock offset, spool, drops, noise, problems, \
        version and target set of each agent", content_type = "application/openmetrics-text")))]
pub async fn agents(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
) -> Result<Response, ApiError> {
    let life = KeyLife::from(app.config.keys);
    let text = app
        .ask(move |registry, now| {
            let mut exposition = Exposition::default();
            each_agent(registry, operator.organisation, (&life, now), |agent| exposition.add(agent))?;
            Ok(exposition.finish())
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
