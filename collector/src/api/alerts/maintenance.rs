//! `/api/v1/alerts/maintenance`: where trouble is expected, and until when.

use crate::{
    alert::{Maintenance, NewMaintenance},
    api::{
        error::ApiError,
        extract::{self, Path, Query},
        list::{List, ListQuery},
    },
    app::App,
    registry::Operator,
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;

/// Lists the maintenance windows that are not over; with `all` those that are, too.
#[utoipa::path(get, path = "/api/v1/alerts/maintenance", tag = "alerts", params(ListQuery),
    responses((status = 200, body = List<Maintenance>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<Maintenance>>, ApiError> {
    let windows = app.ask(move |registry, now| registry.maintenance(operator.organisation, query.all, now));
    Ok(Json(List::new(windows.await?, query.limit)))
}

/// Adds a maintenance window.
#[utoipa::path(post, path = "/api/v1/alerts/maintenance", tag = "alerts", request_body = NewMaintenance,
    responses((status = 201, body = Maintenance), (status = 422, description = "everything that is wrong with it")))]
pub async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewMaintenance>,
) -> Result<(StatusCode, Json<Maintenance>), ApiError> {
    let added = app.ask(move |registry, now| registry.add_maintenance(new, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Ends a maintenance window now.
#[utoipa::path(delete, path = "/api/v1/alerts/maintenance/{id}", tag = "alerts", params(("id" = i64, Path)),
    responses((status = 200, body = Maintenance), (status = 404, description = "there is no such window"),
    (status = 409, description = "it is over already")))]
pub async fn end(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<Maintenance>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.end_maintenance(id, &operator, now)).await?))
}
