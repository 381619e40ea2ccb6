//! `/api/v1/storage`: what the disk is spent on.

use super::error::ApiError;
use crate::{
    app::App,
    paths,
    registry::Operator,
    storage::{Storage, storage},
};
use axum::{Extension, Json, extract::State};

/// Shows what the disk is spent on, and what it will take. Reads a day of measurements: seconds, in a large store.
#[utoipa::path(get, path = "/api/v1/storage", tag = "operation", responses((status = 200, body = Storage)))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Storage>, ApiError> {
    let usage = app.store.usage().await?;
    let registrations = app.registry.registrations(operator.organisation);
    let disk_free = match fs4::available_space(paths::store(&app.config.store.directory)) {
        Ok(free) => Some(free),
        Err(error) => {
            tracing::debug!(%error, "the disk does not say what is free");
            None
        }
    };
    Ok(Json(storage(&usage, &app.config.retention.into(), &registrations, disk_free)))
}
