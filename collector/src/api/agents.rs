//! `/api/v1/agents`.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, PageQuery, page_limit, place},
};
use crate::{
    app::App,
    key_life::KeyLife,
    registry::{AgentEntry, AgentPlace, AgentQuery, IssuedToken, NewKeyToken, Operator},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use peerlight_proto::id::AgentId;

/// Lists the agents in the order of their sites.
#[utoipa::path(get, path = "/api/v1/agents", tag = "registry", params(PageQuery),
    responses((status = 200, body = List<AgentEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<PageQuery>,
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
    Ok(Json(List::page(agents, limit, total, place)))
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
fn judged(app: &App, agent: AgentEntry) -> AgentEntry {
    agent.judged_by(&KeyLife::from(app.config.keys), app.clock.now())
}
