//! `/api/v1/registrations/import`: many registrations at once, from a CSV file.

use super::{
    error::ApiError,
    extract::{Csv, Query},
};
use crate::{
    app::App,
    registry::{Operator, import::Imported},
};
use axum::{Extension, Json, extract::State};
use serde::Deserialize;

/// How a file is imported.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Make every check and add nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Adds every registration of a CSV file, or none. Its first line names the columns, in any order: `site`, `provider`,
/// `location`, `prefixes` (separated by spaces or semicolons), and where they are wanted `valid_from`, `valid_to`,
/// `count_declared`, `allow_non_public` and `nested` (yes or no). Rows that say what is registered already change nothing.
#[utoipa::path(post, path = "/api/v1/registrations/import", tag = "registry", params(ImportQuery),
    request_body(content = String, content_type = "text/csv", description = "at most 16 MiB and 100,000 rows"),
    responses((status = 200, body = Imported), (status = 413, description = "the file is too large"),
        (status = 422, description = "everything that is wrong with it, by line; beyond the first hundred faults only how many")))]
pub async fn create(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ImportQuery>,
    Csv(file): Csv,
) -> Result<Json<Imported>, ApiError> {
    let imported = app
        .ask(move |registry, now| registry.import_registrations(&file, query.dry_run, &operator, now))
        .await?;
    Ok(Json(imported))
}
