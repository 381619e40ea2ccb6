//! The dashboard: what was measured as pages, drawn by the server, live, and whole without JavaScript.
//!
//! Each page is a question in its address, the report that the API answers the same question with, and a template. A page's
//! file holds a shell that asks and pure functions that make the page of the answer.

mod about;
mod alerts;
mod assets;
mod audit;
mod availability;
mod chart;
mod compare;
mod content;
mod controls;
mod edges;
mod error_page;
mod frame;
mod ground;
mod kept;
mod latency;
pub(crate) mod letter;
mod list;
mod map;
mod overview;
mod provider;
mod refusal;
mod registry;
mod series;
mod sign_in;
mod sites;
mod smoke;
mod table;
mod targets;
mod time_of_day;
mod trend;
mod view;
mod visit;

use crate::app::App;
use axum::{Router, middleware::from_fn_with_state, routing::get};
use frame::View;

pub(crate) use error_page::dress;
pub use kept::KeptPages;
#[cfg(feature = "oidc")]
pub(crate) use sign_in::signed_in;
pub(crate) use sign_in::{Refused, sign_in};
pub(crate) use visit::visit;

/// The pages; operators only.
pub fn pages(app: &App) -> Router<App> {
    Router::new()
        .route(View::Sites.path(), get(sites::show))
        .route(View::Targets.path(), get(targets::show))
        .route(View::Audit.path(), get(audit::show))
        .merge(reports().route_layer(from_fn_with_state(app.clone(), kept::keep)))
        .merge(alerts::routes())
        .merge(registry::routes())
}

/// Those that may take long, since they tell of months.
fn reports() -> Router<App> {
    Router::new()
        .route(View::Overview.path(), get(overview::show))
        .route(View::Provider.path(), get(provider::show))
        .route(View::Map.path(), get(map::show))
        .route(View::Latency.path(), get(latency::show))
        .route(View::Compare.path(), get(compare::show))
        .route(View::Series.path(), get(series::show))
        .route(View::Availability.path(), get(availability::show))
        .route(View::TimeOfDay.path(), get(time_of_day::show))
        .route(View::Edges.path(), get(edges::show))
}

/// What pages load; nothing in it is anybody's.
pub fn assets() -> Router<App> {
    Router::new().route("/assets/{name}", get(assets::serve))
}
