//! `/api/v1/targets`: what agents are assigned.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, ListQuery},
};
use crate::{
    app::App,
    registry::{NewTarget, Operator, TargetEntry},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;

/// Lists the assigned targets.
#[utoipa::path(get, path = "/api/v1/targets", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<TargetEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<TargetEntry>>, ApiError> {
    let targets = app.ask(move |registry, _now| registry.targets(operator.organisation)).await?;
    Ok(Json(List::new(targets, query.limit)))
}

/// Assigns targets: one for each probe.
#[utoipa::path(post, path = "/api/v1/targets", tag = "registry", request_body = NewTarget,
    responses((status = 201, body = List<TargetEntry>), (status = 422, description = "everything that is wrong with it")))]
pub async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewTarget>,
) -> Result<(StatusCode, Json<List<TargetEntry>>), ApiError> {
    let added = app.ask(move |registry, now| registry.add_target(&new, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(List::new(added, None))))
}

/// Takes a target back.
#[utoipa::path(delete, path = "/api/v1/targets/{id}", tag = "registry", params(("id" = i64, Path)),
    responses((status = 200, body = TargetEntry), (status = 404)))]
pub async fn remove(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<TargetEntry>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.remove_target(id, &operator, now)).await?))
}
