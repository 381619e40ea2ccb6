//! `/api/v1/providers`.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, ListQuery},
};
use crate::{
    app::App,
    registry::{NewProvider, Operator, Provider},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;

/// Lists the providers.
#[utoipa::path(get, path = "/api/v1/providers", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<Provider>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<Provider>>, ApiError> {
    let mut providers = app.ask(move |registry, _now| registry.providers(operator.organisation)).await?;
    providers.retain(|provider| query.all || provider.ended.is_none());
    Ok(Json(List::new(providers, query.limit)))
}

/// Adds a provider.
#[utoipa::path(post, path = "/api/v1/providers", tag = "registry", request_body = NewProvider,
    responses((status = 201, body = Provider), (status = 422, description = "everything that is wrong with it")))]
pub async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewProvider>,
) -> Result<(StatusCode, Json<Provider>), ApiError> {
    let added = app.ask(move |registry, now| registry.add_provider(&new, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Ends a provider that no valid registration names.
#[utoipa::path(delete, path = "/api/v1/providers/{id}", tag = "registry", params(("id" = i64, Path)),
    responses((status = 200, body = Provider), (status = 404), (status = 409, description = "sites still use it")))]
pub async fn end(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<Provider>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.end_provider(id, &operator, now)).await?))
}
