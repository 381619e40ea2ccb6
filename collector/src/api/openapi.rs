//! `/api/v1/openapi.json`: the API described for machines.

use axum::{Json, Router, routing::get};
use std::sync::Arc;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The document's head; the routes add their paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Peerlight collector",
        description = "Latency of branch offices to Microsoft per provider. Agents sign their requests (RFC 9421), operators \
                       send a token. Every error is a problem document (RFC 9457)."
    ),
    modifiers(&BearerTokens),
    tags(
        (name = "agents", description = "The agents' listener: requests are signed"),
        (name = "registry", description = "Providers, locations, registrations, agents, targets and tokens"),
        (name = "reports", description = "What was measured"),
        (name = "alerts", description = "What is wrong, who is to blame, and who was told"),
        (name = "operation", description = "The collector itself")
    )
)]
pub struct Head;

struct BearerTokens;

impl Modify for BearerTokens {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An operator token"));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("operator", SecurityScheme::Http(scheme.build()));
    }
}

/// The route that serves `document`.
pub fn route<S: Clone + Send + Sync + 'static>(document: openapi::OpenApi) -> Router<S> {
    let document = Arc::new(document);
    Router::new().route(
        "/api/v1/openapi.json",
        get(move || {
            let document = Arc::clone(&document);
            async move { Json(openapi::OpenApi::clone(&document)) }
        }),
    )
}
