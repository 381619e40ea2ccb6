//! `/api/v1/target-sets`: the versions of what agents are assigned, rolled out and back.

use super::{
    error::ApiError,
    extract::{self, Query},
    list::{List, ListQuery},
};
use crate::{
    app::App,
    registry::{NewShare, Operator, RollBack, RollOut, TargetSetEntry},
};
use axum::{Extension, Json, extract::State};

/// Lists the target sets, the newest first, with how many agents hold and refuse each.
#[utoipa::path(get, path = "/api/v1/target-sets", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<TargetSetEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<TargetSetEntry>>, ApiError> {
    let sets = app.ask(move |registry, _now| registry.target_sets(operator.organisation)).await?;
    Ok(Json(List::new(sets, query.limit)))
}

/// Gives the staged target set to a share of the agents, the same ones in every roll-out; to all of them puts it in force.
#[utoipa::path(post, path = "/api/v1/target-sets/roll-out", tag = "registry", request_body = NewShare,
    responses((status = 200, body = RollOut), (status = 409, description = "no set is staged"),
    (status = 422, description = "more than all agents")))]
pub async fn roll_out(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewShare>,
) -> Result<Json<RollOut>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.roll_out_targets(new, &operator, now)).await?))
}

/// Takes the staged target set back; without one, puts the set before the one in force in its place.
#[utoipa::path(post, path = "/api/v1/target-sets/roll-back", tag = "registry", request_body = RollBack,
    responses((status = 200, body = RollOut), (status = 404, description = "there is no such set"),
    (status = 409, description = "there is nothing to go back to")))]
pub async fn roll_back(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(wanted): extract::Json<RollBack>,
) -> Result<Json<RollOut>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.roll_back_targets(wanted, &operator, now)).await?))
}
