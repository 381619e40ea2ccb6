//! `/api/v1/targets`: what agents are assigned.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::List,
};
use crate::{
    app::App,
    registry::{NewTarget, Operator, TargetEntry, WhichSet},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use serde::Deserialize;

/// Which targets to list.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TargetQuery {
    /// The most entries to answer with.
    pub limit: Option<usize>,
    /// Those of the target set with this number, in the place of the one in force.
    pub set: Option<u32>,
    /// Those of the staged target set.
    #[serde(default)]
    pub staged: bool,
}

/// From which set a target is taken.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RemoveQuery {
    /// From the staged target set, in the place of the one in force.
    #[serde(default)]
    pub staged: bool,
}

/// Lists the assigned targets.
#[utoipa::path(get, path = "/api/v1/targets", tag = "registry", params(TargetQuery),
    responses((status = 200, body = List<TargetEntry>), (status = 404, description = "there is no such set"),
    (status = 409, description = "no set is staged")))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<TargetQuery>,
) -> Result<Json<List<TargetEntry>>, ApiError> {
    let which = match query {
        TargetQuery { staged: true, .. } => WhichSet::Staged,
        TargetQuery { set: Some(number), .. } => WhichSet::Number(number),
        TargetQuery { .. } => WhichSet::InForce,
    };
    let targets = app.ask(move |registry, _now| registry.targets_of(operator.organisation, which)).await?;
    Ok(Json(List::new(targets, query.limit)))
}

/// Assigns targets: one for each probe.
#[utoipa::path(post, path = "/api/v1/targets", tag = "registry", request_body = NewTarget,
    responses((status = 201, body = List<TargetEntry>), (status = 409, description = "another set is staged"),
    (status = 422, description = "everything that is wrong with it")))]
pub async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewTarget>,
) -> Result<(StatusCode, Json<List<TargetEntry>>), ApiError> {
    let added = app.ask(move |registry, now| registry.add_target(&new, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(List::new(added, None))))
}

/// Takes a target back.
#[utoipa::path(delete, path = "/api/v1/targets/{id}", tag = "registry", params(("id" = i64, Path), RemoveQuery),
    responses((status = 200, body = TargetEntry), (status = 404), (status = 409, description = "another set is staged")))]
pub async fn remove(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
    Query(query): Query<RemoveQuery>,
) -> Result<Json<TargetEntry>, ApiError> {
    let staged = query.staged;
    Ok(Json(app.ask(move |registry, now| registry.remove_target(id, staged, &operator, now)).await?))
}
