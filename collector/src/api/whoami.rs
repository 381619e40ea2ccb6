//! `/api/v1/whoami`: the public address that the collector sees.

use crate::{admission::Caller, app::App, client_address::ClientAddress, registry::Sighting};
use axum::{Extension, Json, extract::State};
use peerlight_proto::whoami::WhoAmI;

/// Tells the agent which address its request came from.
#[utoipa::path(get, path = "/api/v1/whoami", tag = "agents",
    responses((status = 200, description = "The address and the collector's time"),
        (status = 401, description = "No valid signature")))]
pub async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(address): Extension<ClientAddress>,
) -> Json<WhoAmI> {
    let sighting = Sighting { at: app.clock.now(), address: address.client, batch: None };
    app.seen(caller.agent, sighting);
    Json(WhoAmI { address: address.client, collector_time_us: app.clock.now().as_micros() })
}
