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
/// What answers to a pointer and to keys on charts.
pub(super) const CHARTS: Asset = Asset {
    stem: "charts",
    extension: "js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("assets/charts.js"),
};
/// The icon.
pub(super) const ICON: Asset = Asset {
    stem: "icon",
    extension: "svg",
    media_type: "image/svg+xml",
    content: include_str!("assets/icon.svg"),
};

impl Asset {
    /// What is in it.
    pub(super) const fn content(&self) -> &'static str {
        self.content
    }

    /// Where it is: a new content is a new address, so browsers keep each for ever.
    pub(super) fn path(&self) -> String {
        let digest = Sha256::digest(self.content.as_bytes());
        format!("/assets/{}-{}.{}", self.stem, hex::encode(&digest[..6]), self.extension)
    }
}

/// Serves an asset.
pub(super) async fn serve(Path(name): Path<String>) -> Result<Response, ApiError> {
    let path = format!("/assets/{name}");
    let asset = [STYLE, LIVE, CHARTS, ICON].into_iter().find(|asset| asset.path() == path);
    let asset = asset.ok_or_else(|| ApiError::not_found("there is no such asset; reload the page"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, asset.content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Of text (WCAG 2.2, 1.4.3) and of what must be seen besides (1.4.11), at level AA.
    const TEXT: f64 = 4.5;
    const SHAPE: f64 = 3.0;

    /// The colours of a `:root` block by their names.
    fn colours(block: &str) -> BTreeMap<&str, [f64; 3]> {
        let lines = block.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        lines
            .filter_map(|(name, value)| {
                let digits: Vec<u8> = value.trim_end_matches(';').bytes().collect();
                let parts = match digits.len() {
                    3 => digits.iter().map(|digit| vec![*digit, *digit]).collect(),
                    6 => digits.chunks(2).map(<[u8]>::to_vec).collect(),
                    // With transparency: an area, never a word or a line.
                    _ => return None,
                };
                let parts: Vec<Vec<u8>> = parts;
                let channel = |at: usize| {
                    let text = std::str::from_utf8(&parts[at]).unwrap();
                    f64::from(u8::from_str_radix(text, 16).unwrap()) / 255.0
                };
                Some((name, [channel(0), channel(1), channel(2)]))
            })
            .collect()
    }

    /// The relative luminance (WCAG 2.2).
    fn luminance(colour: [f64; 3]) -> f64 {
        let linear = colour.map(|c| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_word_and_every_shape_can_be_seen_in_both_schemes() {
        let mut schemes = STYLE.content.split(":root {").skip(1);
        for scheme in [schemes.next().unwrap(), schemes.next().unwrap()] {
            let colours = colours(scheme.split('}').next().unwrap());
            let words =
                ["text", "quiet", "link", "warn", "good"].map(|name| (name, ["ground", "card"], TEXT));
            let shapes = ["p50", "p95", "loss", "edge"].map(|name| (name, ["ground", "card"], SHAPE));
            let doors = ["door-1", "door-2", "door-3", "door-4", "door-5", "door-6"];
            let doors = doors.map(|name| (name, ["card", "card"], SHAPE));
            let others = [("sent", ["card", "card"], SHAPE), ("on-chosen", ["chosen", "chosen"], TEXT)];
            for (name, grounds, least) in words.into_iter().chain(shapes).chain(doors).chain(others) {
                for ground in grounds {
                    let seen = contrast(colours[name], colours[ground]);
                    assert!(seen >= least, "{name} on {ground}: {seen:.2}, needs {least}\n{scheme}");
                }
            }
        }
        assert_eq!(schemes.next(), None);
    }
}
