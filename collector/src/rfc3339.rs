//! Instants as people and JSON write them: RFC 3339 in UTC.

use jiff::{civil, tz::TimeZone};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// A text that is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time; write 2026-01-31T12:00:00Z or 2026-01-31")]
pub struct ParseTimeError(String);

/// The instant as RFC 3339, to the second unless it has a fraction.
pub fn text(instant: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(instant.as_micros())
        .map_or_else(|_beyond| format!("{} µs", instant.as_micros()), |stamp| stamp.to_string())
}

/// The instant cut to its second: what tables show.
pub fn seconds(instant: Timestamp) -> String {
    text(Timestamp::from_secs(instant.as_secs()))
}

/// Reads RFC 3339 with any offset, or a date, which means its midnight in UTC.
pub fn parse(text: &str) -> Result<Timestamp, ParseTimeError> {
    let wrong = || ParseTimeError(text.chars().take(80).collect());
    if let Ok(stamp) = text.trim().parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_micros(stamp.as_microsecond()));
    }
    // A date with a time but without an offset would parse as a date too; only ten characters are a date.
    let date = if text.trim().len() == 10 { text.trim().parse::<civil::Date>().ok() } else { None };
    date.and_then(|date| date.to_zoned(TimeZone::UTC).ok())
        .map(|midnight| Timestamp::from_micros(midnight.timestamp().as_microsecond()))
        .ok_or_else(wrong)
}

/// For `#[serde(with = "rfc3339")]`.
pub fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*instant))
}

/// For `#[serde(with = "rfc3339")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// For `#[serde(with = "rfc3339::option")]`.
pub mod option {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, parse, text};
    use serde::de::Error as _;

    /// Writes null for none.
    pub fn serialize<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => serializer.serialize_str(&text(*instant)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads null as none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|written| parse(&written))
            .transpose()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_back_what_they_print() {
        for micros in [0, 1, -1, 1_763_856_000_123_456] {
            let instant = Timestamp::from_micros(micros);
            assert_eq!(parse(&text(instant)), Ok(instant));
        }
        assert_eq!(parse("1970-01-02"), Ok(Timestamp::from_secs(86_400)));
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), Ok(Timestamp::from_secs(0)));
    }

    #[test]
    fn a_time_without_an_offset_is_refused() {
        for text in ["2026-01-31T12:00:00", "yesterday", "", "2026-13-01"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
