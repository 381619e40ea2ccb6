//! `/api/v1/provider-links`: links that show one provider's own numbers alone.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, ListQuery},
};
use crate::{
    alert::message::link as reached,
    app::App,
    registry::{IssuedProviderLink, NewProviderLink, Operator, ProviderLink},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;

/// Where a link leads.
pub(crate) const OPENED_AT: &str = "/shared";

/// Lists the links that hold, the latest first; never a secret. With `all` those that do not hold any more, too.
#[utoipa::path(get, path = "/api/v1/provider-links", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<ProviderLink>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<ProviderLink>>, ApiError> {
    let now = app.clock.now();
    let mut links = app.ask(move |registry, _now| registry.provider_links(operator.organisation)).await?;
    links.retain(|link| query.all || link.holds(now));
    Ok(Json(List::new(links, query.limit)))
}

/// Creates a link. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/provider-links", tag = "registry", request_body = NewProviderLink,
    responses((status = 201, body = IssuedProviderLink), (status = 409, description = "too many hold already"),
    (status = 422, description = "everything that is wrong with it")))]
pub async fn create(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewProviderLink>,
) -> Result<(StatusCode, Json<IssuedProviderLink>), ApiError> {
    let (secret, entry) =
        app.ask(move |registry, now| registry.create_provider_link(&new, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(issued(&app, secret, entry))))
}

/// Revokes a link: whoever came in by it is out with the next request.
#[utoipa::path(delete, path = "/api/v1/provider-links/{id}", tag = "registry", params(("id" = i64, Path)),
    responses((status = 200, body = ProviderLink), (status = 404, description = "there is no such link")))]
pub async fn revoke(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<ProviderLink>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.revoke_provider_link(id, &operator, now)).await?))
}

/// A link as whoever made it is told, this once.
pub(crate) fn issued(app: &App, token: String, entry: ProviderLink) -> IssuedProviderLink {
    let path = format!("{OPENED_AT}?token={token}");
    IssuedProviderLink { link: reached(app.config.alerts.url.as_ref(), &path), token, entry }
}
