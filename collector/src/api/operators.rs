//! `/api/v1/operators`: operator tokens.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, ListQuery},
};
use crate::{
    app::App,
    registry::{IssuedOperatorToken, NewOperatorToken, Operator, OperatorToken},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;

/// Lists the operator tokens; never a secret.
#[utoipa::path(get, path = "/api/v1/operators", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<OperatorToken>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<OperatorToken>>, ApiError> {
    let mut tokens = app.ask(move |registry, _now| registry.operator_tokens(operator.organisation)).await?;
    tokens.retain(|token| query.all || token.revoked.is_none());
    Ok(Json(List::new(tokens, query.limit)))
}

/// Creates an operator token. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/operators", tag = "registry", request_body = NewOperatorToken,
    responses((status = 201, body = IssuedOperatorToken), (status = 422, description = "everything that is wrong with it")))]
pub async fn create(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewOperatorToken>,
) -> Result<(StatusCode, Json<IssuedOperatorToken>), ApiError> {
    let NewOperatorToken { name, role } = new;
    let issued =
        app.ask(move |registry, now| registry.create_operator_token(&name, role, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(issued)))
}

/// Revokes an operator token.
#[utoipa::path(delete, path = "/api/v1/operators/{id}", tag = "registry", params(("id" = i64, Path)),
    responses((status = 200, body = OperatorToken), (status = 404)))]
pub async fn revoke(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<OperatorToken>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.revoke_operator_token(id, &operator, now)).await?))
}
