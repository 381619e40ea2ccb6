//! `/api/v1/tokens`: enrolment tokens.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, PageQuery, page_limit, place},
};
use crate::{
    app::App,
    registry::{IssuedToken, NewToken, Operator, TokenEntry, TokenQuery},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;

/// Lists the tokens that can still enrol, newest first; never a secret.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "registry", params(PageQuery),
    responses((status = 200, body = List<TokenEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<TokenEntry>>, ApiError> {
    let limit = page_limit(query.limit);
    let before = place(query.cursor.as_deref())?;
    let asked = TokenQuery { all: query.all, before, limit: Some(limit + 1) };
    let (tokens, total) = app
        .ask(move |registry, now| {
            let tokens = registry.tokens(operator.organisation, &asked, now)?;
            Ok((tokens, registry.count_tokens(operator.organisation, asked.all, now)?))
        })
        .await?;
    Ok(Json(List::page(tokens, limit, total, |last| last.id)))
}

/// Creates a token for a registration. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "registry", request_body = NewToken,
    responses((status = 201, body = IssuedToken), (status = 404), (status = 409, description = "the registration has ended"),
    (status = 422, description = "everything that is wrong with it")))]
pub async fn create(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewToken>,
) -> Result<(StatusCode, Json<IssuedToken>), ApiError> {
    let identity = app.identity.clone();
    let issued = app.ask(move |registry, now| registry.create_token(&new, &identity, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(issued)))
}

/// Revokes a token. Agents that it has enrolled stay.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "registry", params(("id" = i64, Path)),
    responses((status = 200, body = TokenEntry), (status = 404)))]
pub async fn revoke(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<TokenEntry>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.revoke_token(id, &operator, now)).await?))
}
