//! `/api/v1/agents`.

use super::{
    error::ApiError,
    extract::{Path, Query},
    list::{List, ListQuery},
};
use crate::{
    app::App,
    registry::{AgentEntry, Operator},
};
use axum::{Extension, Json, extract::State};
use peerlight_proto::id::AgentId;

/// Lists the agents.
#[utoipa::path(get, path = "/api/v1/agents", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<AgentEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<AgentEntry>>, ApiError> {
    let mut agents = app.ask(move |registry, now| registry.agents(operator.organisation, now)).await?;
    agents.retain(|agent| query.all || agent.revoked.is_none());
    Ok(Json(List::new(agents, query.limit)))
}

/// Shows an agent.
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "registry", params(("id" = String, Path)),
    responses((status = 200, body = AgentEntry), (status = 404)))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(agent): Path<AgentId>,
) -> Result<Json<AgentEntry>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.agent(operator.organisation, agent, now)).await?))
}

/// Revokes an agent: its requests are refused from now on.
#[utoipa::path(delete, path = "/api/v1/agents/{id}", tag = "registry", params(("id" = String, Path)),
    responses((status = 200, body = AgentEntry), (status = 404)))]
pub async fn revoke(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(agent): Path<AgentId>,
) -> Result<Json<AgentEntry>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.revoke_agent(agent, &operator, now)).await?))
}
