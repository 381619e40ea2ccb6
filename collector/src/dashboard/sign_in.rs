//! The page on which an operator signs in.

use super::assets;
use askama::Template;

/// The form.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    css: String,
    icon: String,
    next: &'a str,
    refused: bool,
}

/// The page as HTML; it leads to `next`, and says so if a token was `refused`.
pub(crate) fn sign_in(next: &str, refused: bool) -> askama::Result<String> {
    SignIn { css: assets::STYLE.path(), icon: assets::ICON.path(), next, refused }.render()
}
