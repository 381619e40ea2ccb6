//! `/api/v1/agents`.

use super::{
    error::ApiError,
    extract::{Path, Query},
    list::{List, PageQuery, page_limit, place},
};
use crate::{
    app::App,
    registry::{AgentEntry, AgentPlace, AgentQuery, Operator},
};
use axum::{Extension, Json, extract::State};
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
