//! `/api/v1/agents`.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, page_limit, place},
};
use crate::{
    app::App,
    key_life::KeyLife,
    registry::{AgentEntry, AgentPlace, AgentQuery, IssuedToken, NewKeyToken, NewTags, Operator},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use peerlight_proto::id::AgentId;
use serde::Deserialize;

/// Which agents to list.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FleetQuery {
    /// The most agents to look at; 10,000 unless given, and at most.
    pub limit: Option<usize>,
    /// Answer with what was revoked or retired, too.
    #[serde(default)]
    pub all: bool,
    /// Answer only with agents that an operator should look into. `total` still counts all.
    #[serde(default)]
    pub unhealthy: bool,
    /// Answer only with agents whose version is older than the collector's. `total` still counts all.
    #[serde(default)]
    pub behind: bool,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
}

/// Lists the agents in the order of their sites.
#[utoipa::path(get, path = "/api/v1/agents", tag = "registry", params(FleetQuery),
    responses((status = 200, body = List<AgentEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<FleetQuery>,
) -> Result<Json<List<AgentEntry>>, ApiError> {
    let limit = page_limit(query.limit);
    let after = place(query.cursor.as_deref())?;
    let asked = AgentQuery { revoked: query.all, after, limit: Some(limit + 1) };
    let (agents, total) = app
        .ask(move |registry, now| {
            let agents = registry.list_agents(operator.organisation, &asked, now)?;
            Ok((agents, registry.count_agents(operator.organisation, asked.revoked)?))
        })
        .await?;
    let agents = agents.into_iter().map(|agent| judged(&app, agent)).collect();
    let place = |last: &AgentEntry| AgentPlace { site: last.site.clone(), agent: last.agent };
    let mut page = List::page(agents, limit, total, place);
    page.items.retain(|agent| {
        let unhealthy = agent.revoked.is_none() && !agent.state.is_empty();
        (!query.unhealthy || unhealthy) && (!query.behind || agent.behind)
    });
    Ok(Json(page))
}

/// Shows an agent.
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "registry", params(("id" = String, Path)),
    responses((status = 200, body = AgentEntry), (status = 404)))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(agent): Path<AgentId>,
) -> Result<Json<AgentEntry>, ApiError> {
    let agent = app.ask(move |registry, now| registry.agent(operator.organisation, agent, now)).await?;
    Ok(Json(judged(&app, agent)))
}

/// Revokes an agent: its requests are refused from now on.
#[utoipa::path(delete, path = "/api/v1/agents/{id}", tag = "registry", params(("id" = String, Path)),
    responses((status = 200, body = AgentEntry), (status = 404)))]
pub async fn revoke(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(agent): Path<AgentId>,
) -> Result<Json<AgentEntry>, ApiError> {
    let agent = app.ask(move |registry, now| registry.revoke_agent(agent, &operator, now)).await?;
    Ok(Json(judged(&app, agent)))
}

/// Retires an agent whose machine is gone: its requests are refused, and reports expect nothing of it from now on.
#[utoipa::path(post, path = "/api/v1/agents/{id}/retirement", tag = "registry", params(("id" = String, Path)),
    responses((status = 200, body = AgentEntry), (status = 404)))]
pub async fn retire(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(agent): Path<AgentId>,
) -> Result<Json<AgentEntry>, ApiError> {
    let agent = app.ask(move |registry, now| registry.retire_agent(agent, &operator, now)).await?;
    Ok(Json(judged(&app, agent)))
}

/// Gives an agent tags, and takes some from it: targets can be assigned to those with a tag.
#[utoipa::path(post, path = "/api/v1/agents/{id}/tags", tag = "registry", params(("id" = String, Path)), request_body = NewTags,
    responses((status = 200, body = AgentEntry), (status = 404), (status = 422, description = "everything that is wrong with it")))]
pub async fn tag(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(agent): Path<AgentId>,
    extract::Json(new): extract::Json<NewTags>,
) -> Result<Json<AgentEntry>, ApiError> {
    let agent = app.ask(move |registry, now| registry.tag_agent(agent, &new, &operator, now)).await?;
    Ok(Json(judged(&app, agent)))
}

/// Creates a token with which this agent alone enrols again, and brings a new key.
///
/// The token's text is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/agents/{id}/tokens", tag = "registry", params(("id" = String, Path)),
    request_body = NewKeyToken,
    responses((status = 201, body = IssuedToken), (status = 404), (status = 409, description = "the registration has ended"),
    (status = 422, description = "everything that is wrong with it")))]
pub async fn create_token(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(agent): Path<AgentId>,
    extract::Json(new): extract::Json<NewKeyToken>,
) -> Result<(StatusCode, Json<IssuedToken>), ApiError> {
    let identity = app.identity.clone();
    let issued = app
        .ask(move |registry, now| registry.create_key_token(agent, new, &identity, &operator, now))
        .await?;
    Ok((StatusCode::CREATED, Json(issued)))
}

/// The agent with what the configuration says of its key.
pub(crate) fn judged(app: &App, agent: AgentEntry) -> AgentEntry {
    agent.judged_by(&KeyLife::from(app.config.keys), app.clock.now())
}
