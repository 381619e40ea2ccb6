//! `/shared`: a provider's link becomes a session of a browser. The link itself shows a page with a button, since a session's cookie
//! is not sent along with what another page led to, and nobody's preview of a link is to open it.

use super::{
    error::ApiError,
    extract::{Form, Query},
    sign_in::set_cookie,
};
use crate::{
    app::App,
    auth::{FRONT_PAGE, Holder, SESSION_LENGTH},
    client_address::ClientAddress,
    dashboard,
    registry::ProviderLink,
};
use axum::{
    Extension,
    extract::State,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use http::StatusCode;
use serde::Deserialize;

/// The secret, in the link and in the form.
#[derive(Deserialize)]
pub struct Shared {
    #[serde(default)]
    token: String,
}

/// Shows what the link is for, and the button.
pub async fn page(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Query(shared): Query<Shared>,
) -> Result<Response, ApiError> {
    app.rates.attempt(address.nearest()).map_err(ApiError::too_many_requests)?;
    let token = shared.token.trim().to_owned();
    let tried = token.clone();
    match app.ask(move |registry, now| registry.link_of(&tried, now)).await? {
        Some((_visitor, link)) => render(StatusCode::OK, Some((&link, &token))),
        None => refused(address),
    }
}

/// Opens a session.
pub async fn open(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Form(shared): Form<Shared>,
) -> Result<Response, ApiError> {
    app.rates.attempt(address.nearest()).map_err(ApiError::too_many_requests)?;
    let token = shared.token.trim().to_owned();
    let tried = token.clone();
    let Some(visitor) = app.ask(move |registry, now| registry.open_provider_link(&tried, now)).await? else {
        return refused(address);
    };
    tracing::info!(visitor = visitor.name, address = %address.nearest(), "a provider's link was opened");
    let holder = Holder::Token(token);
    let cookie = app.sessions.open(holder, &visitor, address.nearest(), app.clock.now());
    let mut response = Redirect::to(FRONT_PAGE).into_response();
    set_cookie(&app, &mut response, &cookie, SESSION_LENGTH.as_secs())?;
    Ok(response)
}

fn refused(address: ClientAddress) -> Result<Response, ApiError> {
    tracing::warn!(address = %address.nearest(), "a provider's link was refused");
    render(StatusCode::FORBIDDEN, None)
}

fn render(status: StatusCode, link: Option<(&ProviderLink, &str)>) -> Result<Response, ApiError> {
    let html = dashboard::visit(link).map_err(|error| {
        tracing::error!(%error, "the page of a link could not be rendered");
        ApiError::internal()
    })?;
    Ok((status, Html(html)).into_response())
}
