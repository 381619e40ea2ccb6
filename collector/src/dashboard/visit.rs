//! The page that a provider's link leads to: whose numbers it shows, until when, and the button that opens them.

use super::assets;
use crate::{registry::ProviderLink, rfc3339};
use askama::Template;

#[derive(Template)]
#[template(path = "visit.html")]
struct Page<'a> {
    css: String,
    icon: String,
    link: Option<Shown<'a>>,
}

struct Shown<'a> {
    provider: &'a str,
    expires: String,
    token: &'a str,
}

/// The page of a link that holds, or of one that does not.
pub(crate) fn visit(link: Option<(&ProviderLink, &str)>) -> Result<String, askama::Error> {
    let link = link.map(|(link, token)| Shown {
        provider: &link.provider,
        expires: rfc3339::seconds(link.expires),
        token,
    });
    Page { css: assets::STYLE.path(), icon: assets::ICON.path(), link }.render()
}
