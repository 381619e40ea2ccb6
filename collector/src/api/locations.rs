//! `/api/v1/locations`.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, ListQuery},
};
use crate::{
    app::App,
    registry::{Location, NewLocation, Operator},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;

/// Lists the locations.
#[utoipa::path(get, path = "/api/v1/locations", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<Location>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<Location>>, ApiError> {
    let mut locations = app.ask(move |registry, _now| registry.locations(operator.organisation)).await?;
    locations.retain(|location| query.all || location.ended.is_none());
    Ok(Json(List::new(locations, query.limit)))
}

/// Adds a location.
#[utoipa::path(post, path = "/api/v1/locations", tag = "registry", request_body = NewLocation,
    responses((status = 201, body = Location), (status = 409), (status = 422, description = "everything that is wrong with it")))]
pub async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewLocation>,
) -> Result<(StatusCode, Json<Location>), ApiError> {
    let added = app.ask(move |registry, now| registry.add_location(&new, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Ends a location that no valid registration names.
#[utoipa::path(delete, path = "/api/v1/locations/{id}", tag = "registry", params(("id" = i64, Path)),
    responses((status = 200, body = Location), (status = 404), (status = 409, description = "sites are still there")))]
pub async fn end(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<Location>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.end_location(id, &operator, now)).await?))
}
