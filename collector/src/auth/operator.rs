//! Operators, and visitors of a provider's link: a token as `Authorization: Bearer`, or the cookie of a session that one opened, or that
//! an OpenID provider's word did.

use super::{Holder, links};
use crate::{
    api::error::ApiError,
    app::App,
    registry::{Operator, Role},
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderMap, Method, header};

/// The session's cookie over plain HTTP, on loopback.
const PLAIN_COOKIE: &str = "peerlight_session";
/// The session's cookie over TLS: the prefix makes browsers insist on `Secure` and on this very host.
const SECURE_COOKIE: &str = "__Host-peerlight_session";

/// Lets a request of an operator through, with the [`Operator`] as an extension. Readers change nothing.
pub async fn require_operator(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let operator = match identify(&app, request.headers()).await {
        Ok(Some(operator)) => operator,
        Ok(None) => return ask_to_sign_in(&request),
        Err(error) => return error.into_response(),
    };
    if operator.role == Role::Reader && !is_safe(request.method()) {
        return ApiError::not_allowed("this operator may only read").into_response();
    }
    if let Some(refusal) = links::refusal(&operator, &request) {
        return refusal;
    }
    request.extensions_mut().insert(operator);
    next.run(request).await
}

/// Whether the method only reads.
pub(super) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// The name of the session's cookie.
pub(crate) fn cookie_name(app: &App) -> &'static str {
    if app.config.operators.tls.is_some() { SECURE_COOKIE } else { PLAIN_COOKIE }
}

/// What the session's cookie holds.
pub(crate) fn session_cookie<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
    cookie(headers, cookie_name(app))
}

/// What the cookie of this name holds.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(named, _)| *named == name)
        .map(|(_, value)| value)
}

async fn identify(app: &App, headers: &HeaderMap) -> Result<Option<Operator>, ApiError> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned());
    let holder = bearer.map(Holder::Token).or_else(|| {
        session_cookie(app, headers).and_then(|cookie| app.sessions.holder(cookie, app.clock.now()))
    });
    match holder {
        Some(Holder::Token(token)) => app.ask(move |registry, now| registry.bearer(&token, now)).await,
        Some(Holder::Person(operator)) => Ok(Some(operator)),
        None => Ok(None),
    }
}

/// A browser is sent to the form, everything else gets a problem.
fn ask_to_sign_in(request: &Request) -> Response {
    let wants_a_page = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if !wants_a_page || request.method() != Method::GET {
        return ApiError::sign_in_required().into_response();
    }
    let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    Redirect::to(&format!("/sign-in?{query}")).into_response()
}
