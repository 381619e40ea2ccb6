//! What browsers need: the Host check against DNS rebinding, the origin check against forged requests, and headers that
//! keep a page from anything that it does not itself bring.

use super::operator::is_safe;
use crate::{api::error::ApiError, app::App};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Nothing is loaded but from the collector itself, no script or style stands in a page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The headers of every answer to an operator, unless its handler knows better.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Checks Host and origin of every request to the operators' listener.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    secure(headers);
    if app.config.operators.tls.is_some() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Keeps a page from anything that it does not itself bring.
pub(crate) fn secure(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

fn check(app: &App, request: &Request) -> Result<(), ApiError> {
    let authority = authority(request).unwrap_or_default();
    if !app.config.operators.answers_for(host_of(authority)) {
        let shown: String = authority.chars().take(80).collect();
        return Err(ApiError::wrong_host(&shown));
    }
    if is_safe(request.method()) || is_same_origin(request.headers(), authority) {
        Ok(())
    } else {
        Err(ApiError::cross_origin())
    }
}

/// What the request says that it is for: HTTP/2 puts it in the URI.
fn authority(request: &Request) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

/// An authority without its port.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(address, _)| address);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Whether a request that changes something comes from a page of this listener, or from no page at all.
fn is_same_origin(headers: &HeaderMap, authority: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("opaque"));
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    match text("origin") {
        Some(origin) => {
            origin.split_once("://").is_some_and(|(_, host)| host.eq_ignore_ascii_case(authority))
        }
        // No browser sends a form across origins without one of the two; SameSite=Strict stands behind it.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_without_their_port() {
        assert_eq!(
            ["localhost", "localhost:80", "[::1]:80", "[::1]", "127.0.0.1:80", "[broken"].map(host_of),
            ["localhost", "localhost", "::1", "::1", "127.0.0.1", ""]
        );
    }

    #[test]
    fn changes_come_from_this_origin_or_from_no_page() {
        let judge = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            is_same_origin(&headers, "localhost:8080")
        };
        assert!(is_same_origin(&HeaderMap::new(), "localhost:8080"));
        assert!(judge("origin", "http://localhost:8080") && judge("sec-fetch-site", "same-origin"));
        assert!(!judge("origin", "http://evil.example") && !judge("origin", "null"));
        assert!(!judge("sec-fetch-site", "cross-site") && !judge("sec-fetch-site", "same-site"));
    }
}
