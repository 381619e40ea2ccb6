//! Durations as people write them: `30d`, `1h 30m`, `5y`.

use serde::{Deserialize, Deserializer, de::Error};
use std::time::Duration;

/// Reads a duration from its text.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format!("`{text}` is not a duration such as `30d` or `12h`: {error}"))
    })
}
