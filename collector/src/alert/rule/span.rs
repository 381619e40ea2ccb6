//! Durations in rules, as people write and read them.

use peerlight_proto::duration;
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::Duration;

pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::text(*span))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format!("`{text}` is not a duration such as `5m` or `1h`: {error}"))
    })
}
