//! `/api/v1/audit`: who changed what.

use super::{
    error::ApiError,
    extract::Query,
    list::{List, ListQuery},
};
use crate::{
    app::App,
    registry::{AuditEntry, Operator},
};
use axum::{Extension, Json, extract::State};

/// How many changes are shown unless told otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// Lists the changes to the registry, the latest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<AuditEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<AuditEntry>>, ApiError> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, |limit| u32::try_from(limit).unwrap_or(u32::MAX));
    let changes = app.ask(move |registry, _now| registry.audit(operator.organisation, limit)).await?;
    Ok(Json(List::new(changes, None)))
}
