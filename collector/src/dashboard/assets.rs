//! What pages load: style, script and icon, in the binary, at addresses that change with their content.

use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::api::error::ApiError;

/// A file of a page.
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// The style.
pub(super) const STYLE: Asset = Asset {
    stem: "peerlight",
    extension: "css",
    media_type: "text/css; charset=utf-8",
    content: include_str!("assets/peerlight.css"),
};
/// What renews an open page.
pub(super) const LIVE: Asset = Asset {
    stem: "live",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("assets/live.js"),
};
/// The icon.
pub(super) const ICON: Asset = Asset {
    stem: "icon",
    extension: "svg",
    media_type: "image/svg+xml",
    content: include_str!("assets/icon.svg"),
};

impl Asset {
    /// Where it is: a new content is a new address, so browsers keep each for ever.
    pub(super) fn path(&self) -> String {
        let digest = Sha256::digest(self.content.as_bytes());
        format!("/assets/{}-{}.{}", self.stem, hex::encode(&digest[..6]), self.extension)
    }
}

/// Serves an asset.
pub(super) async fn serve(Path(name): Path<String>) -> Result<Response, ApiError> {
    let path = format!("/assets/{name}");
    let asset = [STYLE, LIVE, ICON].into_iter().find(|asset| asset.path() == path);
    let asset = asset.ok_or_else(|| ApiError::not_found("there is no such asset; reload the page"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, asset.content).into_response())
}
