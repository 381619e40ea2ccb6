//! `/sign-in/oidc`: a person's word at an OpenID provider becomes a session of a browser.

use super::{
    error::ApiError,
    extract::Query,
    sign_in::{SignInQuery, local, render, set_cookie},
};
use crate::{
    app::App,
    auth::{
        Holder, SESSION_LENGTH,
        oidc::{ANSWERED_AT, Answer, Arrival, BEGUN_AT, OpenId, PATIENCE, Refusal},
        operator::cookie,
    },
    client_address::ClientAddress,
    dashboard::{self, Refused},
};
use axum::{
    Extension, Router,
    extract::State,
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

/// The cookie of an attempt over plain HTTP, on loopback, and over TLS; see those of sessions.
const PLAIN_COOKIE: &str = "peerlight_attempt";
const SECURE_COOKIE: &str = "__Host-peerlight_attempt";

/// What the provider adds to the way back.
#[derive(Default, Deserialize)]
struct AnswerQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// Where an attempt begins and ends.
pub(crate) fn routes() -> Router<App> {
    Router::new().route(BEGUN_AT, get(begin)).route(ANSWERED_AT, get(end))
}

fn openid(app: &App) -> Result<&OpenId, ApiError> {
    app.openid.as_ref().ok_or_else(|| {
        ApiError::not_found("nobody signs in through a provider here; [operators.oidc] would name one")
    })
}

/// Sends the browser to the provider.
async fn begin(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Query(query): Query<SignInQuery>,
) -> Result<Response, ApiError> {
    let openid = openid(&app)?;
    app.rates.attempt(address.nearest()).map_err(ApiError::too_many_requests)?;
    let next = local(&query.next);
    match openid.depart(next, app.clock.now()).await {
        Ok(departure) => {
            let mut response = Redirect::to(departure.to.as_str()).into_response();
            keep(openid, &mut response, &departure.cookie, PATIENCE.as_secs())?;
            Ok(response)
        }
        Err(refusal) => refuse(&app, openid, next, &refusal, address),
    }
}

/// Opens a session for whom the provider vouches for.
async fn end(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Query(query): Query<AnswerQuery>,
) -> Result<Response, ApiError> {
    let openid = openid(&app)?;
    app.rates.attempt(address.nearest()).map_err(ApiError::too_many_requests)?;
    let answer = Answer {
        state: query.state.as_deref(),
        code: query.code.as_deref(),
        error: query.error.as_deref(),
        issuer: query.iss.as_deref(),
    };
    let mut response =
        match openid.arrive(cookie(&headers, cookie_name(openid)), &answer, app.clock.now()).await {
            Ok(arrival) => let_in(&app, arrival, address).await?,
            Err(refusal) => refuse(&app, openid, "/", &refusal, address)?,
        };
    // An answer without the cookie may be anybody's, and ends no attempt.
    if cookie(&headers, cookie_name(openid)).is_some() {
        keep(openid, &mut response, "", 0)?;
    }
    Ok(response)
}

async fn let_in(app: &App, arrival: Arrival, address: ClientAddress) -> Result<Response, ApiError> {
    let Arrival { operator, next } = arrival;
    let noted = operator.clone();
    app.ask(move |registry, now| registry.note_sign_in(&noted, now)).await?;
    tracing::info!(operator = operator.name, role = %operator.role, address = %address.nearest(), "a person signed in");
    let next = local(&next);
    let html = dashboard::signed_in(next, operator.shown()).map_err(|error| {
        tracing::error!(%error, "the page that leads on could not be rendered");
        ApiError::internal()
    })?;
    let holder = Holder::Person(operator.clone());
    let cookie = app.sessions.open(holder, &operator, address.nearest(), app.clock.now());
    let mut response = Html(html).into_response();
    // The address of this page holds a code, which is nobody's business though it is spent.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    set_cookie(app, &mut response, &cookie, SESSION_LENGTH.as_secs())?;
    Ok(response)
}

/// The sign-in page, with what went wrong.
fn refuse(
    app: &App,
    openid: &OpenId,
    next: &str,
    refusal: &Refusal,
    address: ClientAddress,
) -> Result<Response, ApiError> {
    tracing::warn!(provider = openid.name(), why = %refusal, address = %address.nearest(), "nobody was let in through the provider");
    let (status, what, remedy) = words(openid.name(), refusal);
    render(app, status, next, Some(Refused::Person { what, remedy }))
}

/// What the page says of it: its status, what went wrong, and what to do.
fn words(provider: &str, refusal: &Refusal) -> (StatusCode, String, String) {
    let log = "Operator tokens let in meanwhile; whoever runs the collector finds more in its log.";
    match refusal {
        Refusal::Unavailable(why) => (
            StatusCode::BAD_GATEWAY,
            format!("{provider} did not let the collector finish: {why}."),
            format!("Try again in a moment. {log}"),
        ),
        Refusal::Lost => (
            StatusCode::BAD_REQUEST,
            format!(
                "This answer of {provider} belongs to no attempt that this browser began within the last ten minutes."
            ),
            "Begin again. If that ends here, too, let this site keep cookies, and keep one attempt open at a time."
                .to_owned(),
        ),
        Refusal::Declined(error) => (
            StatusCode::FORBIDDEN,
            match error.as_str() {
                "" => format!("{provider} let nobody in, and did not say why."),
                "access_denied" => format!("{provider} did not let you in: it was declined there, or you may not use this application."),
                error => format!("{provider} let nobody in: it answered {error}."),
            },
            format!("Begin again, or ask whoever runs {provider} to let you use this application."),
        ),
        Refusal::Disbelieved(why) => (
            StatusCode::BAD_GATEWAY,
            format!("What {provider} answered is not to be believed: {why}."),
            format!("Begin again. {log}"),
        ),
        Refusal::Without { person, why } => (
            StatusCode::FORBIDDEN,
            format!("{provider} says that you are {}, and you may not come in: {why}.", person.name),
            format!(
                "Ask whoever runs {provider} for a right that [operators.oidc] of the collector names; to come as \
                 somebody else, sign out there first."
            ),
        ),
    }
}

fn cookie_name(openid: &OpenId) -> &'static str {
    if openid.is_reached_by_tls() { SECURE_COOKIE } else { PLAIN_COOKIE }
}

/// The attempt's cookie. It comes back from another site, so it is `Lax`; it opens nothing by itself.
fn keep(openid: &OpenId, response: &mut Response, value: &str, max_age: u64) -> Result<(), ApiError> {
    let secure = if openid.is_reached_by_tls() { "; Secure" } else { "" };
    let name = cookie_name(openid);
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_unprintable| ApiError::internal())?;
    cookie.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}
