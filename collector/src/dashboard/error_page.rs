//! The page for every error: whoever asks for a page is told what went wrong as one, with the status and the words of the
//! problem that a program would get.

use super::assets;
use crate::auth::browser::secure;
use askama::Template;
use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderValue, header};
use peerlight_proto::problem::Problem;

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    css: String,
    icon: String,
    title: &'a str,
    detail: &'a str,
    errors: &'a [String],
    status: u16,
}

/// Dresses problems for browsers. What is asked of the API stays as the API answers it.
pub(crate) async fn dress(request: Request, next: Next) -> Response {
    let wants_a_page = !request.uri().path().starts_with("/api/")
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
    let plain = next.run(request).await;
    let Some(problem) = plain.extensions().get::<Problem>().cloned().filter(|_| wants_a_page) else {
        return plain;
    };
    let page = Page {
        css: assets::STYLE.path(),
        icon: assets::ICON.path(),
        title: &problem.title,
        detail: problem.detail.trim_end_matches('.'),
        errors: &problem.errors,
        status: problem.status,
    };
    let Ok(html) = page.render() else { return plain };
    let (mut parts, _document) = plain.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    parts.headers.remove(header::CONTENT_LENGTH);
    // What is at no path passes no other layer.
    secure(&mut parts.headers);
    Response::from_parts(parts, html.into())
}
