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
};
use askama::Template;
use axum::{
    Extension,
    extract::State,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

/// The form. The policy allows no style in a page, and it needs none.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in · Peerlight</title>
</head>
<body>
<main>
<h1>Peerlight</h1>
{% if refused %}<p role="alert">This operator token does not hold. Make another on the collector's machine with <code>peerlight-collector operator create NAME</code>.</p>{% endif %}
<form method="post" action="/sign-in">
<input type="hidden" name="next" value="{{ next }}">
<p><label for="token">Operator token</label><br>
<input id="token" name="token" type="password" autocomplete="current-password" size="60" required autofocus></p>
<p><button type="submit">Sign in</button></p>
</form>
<p>The collector keeps a token for its own machine in <code>operator.token</code> in its state directory.</p>
</main>
</body>
</html>
"#
)]
struct Page<'a> {
    next: &'a str,
    refused: bool,
}

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
    render(StatusCode::OK, &Page { next: local(&query.next), refused: false })
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
        return render(StatusCode::FORBIDDEN, &Page { next: &next, refused: true });
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

fn set_cookie(app: &App, response: &mut Response, value: &str, max_age: u64) -> Result<(), ApiError> {
    let secure = if app.config.operators.tls.is_some() { "; Secure" } else { "" };
    let cookie =
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}", cookie_name(app));
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_unprintable| ApiError::internal())?;
    cookie.set_sensitive(true);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}

fn render(status: StatusCode, page: &Page<'_>) -> Result<Response, ApiError> {
    let html = page.render().map_err(|error| {
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
