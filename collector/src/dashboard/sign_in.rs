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
    provider: Option<Provider>,
    token_refused: bool,
    refused: Option<Refused>,
}

/// The OpenID provider, and where signing in through it begins.
struct Provider {
    name: String,
    href: String,
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// An operator token.
    Token,
    /// Sign-in through the provider: what went wrong, and what to do.
    #[cfg_attr(not(feature = "oidc"), expect(dead_code, reason = "there is no provider"))]
    Person {
        /// What went wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
}

/// The page as HTML; it leads to `next`, offers the provider by its name and address, and says what was `refused`.
pub(crate) fn sign_in(
    next: &str,
    provider: Option<(String, String)>,
    refused: Option<Refused>,
) -> askama::Result<String> {
    let provider = provider.map(|(name, href)| Provider { name, href });
    let token_refused = refused == Some(Refused::Token);
    let (css, icon) = (assets::STYLE.path(), assets::ICON.path());
    SignIn { css, icon, next, provider, token_refused, refused }.render()
}

/// What leads on from the provider.
#[cfg(feature = "oidc")]
#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedIn<'a> {
    css: String,
    icon: String,
    next: &'a str,
    name: &'a str,
}

/// A page that leads on to `next` by itself. The session's cookie is not sent along where another site led, which a redirect from the
/// provider's answer would be; where this page leads, it is.
#[cfg(feature = "oidc")]
pub(crate) fn signed_in(next: &str, name: &str) -> askama::Result<String> {
    SignedIn { css: assets::STYLE.path(), icon: assets::ICON.path(), next, name }.render()
}
