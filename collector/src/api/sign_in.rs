//! `/sign-in` and `/sign-out`: an operator token becomes a session of a browser. Those of people stand in `oidc.rs`.

use super::{
    error::ApiError,
    extract::{Form, Query},
};
use crate::{
    app::App,
    auth::{
        Holder, SESSION_LENGTH,
        operator::{cookie_name, session_cookie},
    },
    client_address::ClientAddress,
    dashboard::{self, Refused},
};
use axum::{
    Extension,
    extract::State,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
pub struct SignInQuery {
    #[serde(default)]
    pub(super) next: String,
}

/// The form's fields.
#[derive(Deserialize)]
pub struct SignInForm {
    token: String,
    #[serde(default)]
    next: String,
}

/// Shows the form.
pub async fn page(State(app): State<App>, Query(query): Query<SignInQuery>) -> Result<Response, ApiError> {
    render(&app, StatusCode::OK, local(&query.next), None)
}

/// Opens a session.
pub async fn create(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Form(form): Form<SignInForm>,
) -> Result<Response, ApiError> {
    app.rates.attempt(address.nearest()).map_err(ApiError::too_many_requests)?;
    let next = local(&form.next).to_owned();
    let token = form.token.trim().to_owned();
    let tried = token.clone();
    let Some(operator) = app.ask(move |registry, _now| registry.operator(&tried)).await? else {
        tracing::warn!(address = %address.nearest(), "a sign-in was refused");
        return render(&app, StatusCode::FORBIDDEN, &next, Some(Refused::Token));
    };
    tracing::info!(operator = operator.name, address = %address.nearest(), "an operator signed in");
    let holder = Holder::Token(token);
    let cookie = app.sessions.open(holder, &operator, address.nearest(), app.clock.now());
    let mut response = Redirect::to(&next).into_response();
    set_cookie(&app, &mut response, &cookie, SESSION_LENGTH.as_secs())?;
    Ok(response)
}

/// Ends the session.
pub async fn delete(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(cookie) = session_cookie(&app, &headers) {
        app.sessions.close(cookie);
    }
    let mut response = Redirect::to("/sign-in").into_response();
    set_cookie(&app, &mut response, "", 0)?;
    Ok(response)
}

pub(super) fn set_cookie(
    app: &App,
    response: &mut Response,
    value: &str,
    max_age: u64,
) -> Result<(), ApiError> {
    let secure = if app.config.operators.tls.is_some() { "; Secure" } else { "" };
    let cookie =
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}", cookie_name(app));
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_unprintable| ApiError::internal())?;
    cookie.set_sensitive(true);
    // An attempt that is over takes its own cookie back.
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}

/// The form that leads to `next`, and what was refused just now.
pub(super) fn render(
    app: &App,
    status: StatusCode,
    next: &str,
    refused: Option<Refused>,
) -> Result<Response, ApiError> {
    let html = dashboard::sign_in(next, provider(app, next), refused).map_err(|error| {
        tracing::error!(%error, "the sign-in page could not be rendered");
        ApiError::internal()
    })?;
    Ok((status, Html(html)).into_response())
}

/// The provider through which people may sign in, by its name, and where that begins.
#[cfg(feature = "oidc")]
fn provider(app: &App, next: &str) -> Option<(String, String)> {
    app.openid.as_ref().map(|openid| (openid.name().to_owned(), openid.begun_at(next).into()))
}

/// There is none.
#[cfg(not(feature = "oidc"))]
const fn provider(_app: &App, _next: &str) -> Option<(String, String)> {
    None
}

/// A path of this listener; anything that a browser could take for another host becomes the front page.
pub(super) fn local(next: &str) -> &str {
    let stays = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if stays { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_to_another_host() {
        assert_eq!(local("/api/v1/status?x=1"), "/api/v1/status?x=1");
        for elsewhere in ["", "https://evil.example", "//evil.example", "/\\evil.example", "/\n/evil.example"]
        {
            assert_eq!(local(elsewhere), "/", "{elsewhere}");
        }
    }
}
