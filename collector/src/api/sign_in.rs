//! `/sign-in` and `/sign-out`: an operator token becomes a session of a browser.

use super::{
    error::ApiError,
    extract::{Form, Query},
};
use crate::{
    app::App,
    auth::{
        SESSION_LENGTH,
        operator::{cookie_name, session_cookie},
    },
    client_address::ClientAddress,
    dashboard,
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
    next: String,
}

/// The form's fields.
#[derive(Deserialize)]
pub struct SignInForm {
    token: String,
    #[serde(default)]
    next: String,
}

/// Shows the form.
pub async fn page(Query(query): Query<SignInQuery>) -> Result<Response, ApiError> {
    render(StatusCode::OK, local(&query.next), false)
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
        return render(StatusCode::FORBIDDEN, &next, true);
    };
    tracing::info!(operator = operator.name, address = %address.nearest(), "an operator signed in");
    let cookie = app.sessions.open(token, app.clock.now());
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
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}

fn render(status: StatusCode, next: &str, refused: bool) -> Result<Response, ApiError> {
    let html = dashboard::sign_in(next, refused).map_err(|error| {
        tracing::error!(%error, "the sign-in page could not be rendered");
        ApiError::internal()
    })?;
    Ok((status, Html(html)).into_response())
}

/// A path of this listener; anything that a browser could take for another host becomes the front page.
fn local(next: &str) -> &str {
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
