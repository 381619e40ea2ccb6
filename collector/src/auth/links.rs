//! Visitors: what whoever holds a provider's link may ask. Everything that is not named here is closed to them, so that a new route is,
//! too, until somebody has looked at what it tells.

use crate::{api::error::ApiError, registry::Operator};
use axum::{
    extract::{MatchedPath, Request},
    response::{IntoResponse as _, Redirect, Response},
};

/// Pages and reports that select by what the operator sees.
pub(crate) const OPEN_TO_VISITORS: [&str; 14] = [
    FRONT_PAGE,
    "/latency",
    "/series",
    "/availability",
    "/time-of-day",
    "/edges",
    "/api/v1/reports/latency",
    "/api/v1/reports/availability",
    "/api/v1/reports/time-of-day",
    "/api/v1/reports/series",
    "/api/v1/reports/edges",
    "/api/v1/reports/physics",
    "/api/v1/reports/yardsticks",
    "/api/v1/reports/html",
];
/// Where a visitor begins.
pub(crate) const FRONT_PAGE: &str = "/provider";

/// The answer to a visitor who asks for what is not theirs; none where they may go on, and for operators.
pub(super) fn refusal(operator: &Operator, request: &Request) -> Option<Response> {
    operator.only.as_ref()?;
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some("/") => Some(Redirect::to(FRONT_PAGE).into_response()),
        Some(path) if OPEN_TO_VISITORS.contains(&path) => None,
        _ => Some(ApiError::not_allowed("this link shows the numbers of one provider alone").into_response()),
    }
}
