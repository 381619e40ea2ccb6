//! The differentiated services code point: which class of the network's service probes ask for (RFC 2474).

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The names in use: RFC 2474 (CS), 2597 (AF), 3246 (EF), 5865 (VOICE-ADMIT), 8622 (LE).
const NAMES: [(&str, u8); 23] = [
    ("CS0", 0),
    ("LE", 1),
    ("CS1", 8),
    ("AF11", 10),
    ("AF12", 12),
    ("AF13", 14),
    ("CS2", 16),
    ("AF21", 18),
    ("AF22", 20),
    ("AF23", 22),
    ("CS3", 24),
    ("AF31", 26),
    ("AF32", 28),
    ("AF33", 30),
    ("CS4", 32),
    ("AF41", 34),
    ("AF42", 36),
    ("AF43", 38),
    ("CS5", 40),
    ("VOICE-ADMIT", 44),
    ("EF", 46),
    ("CS6", 48),
    ("CS7", 56),
];
const LARGEST: u8 = 63;

/// A code point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8")]
#[serde(try_from = "u8")]
pub struct Dscp(u8);

/// A text that names no code point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no DSCP; write a number from 0 to 63, or a name such as \"EF\", \"AF41\" or \"CS1\"")]
pub struct ParseDscpError(String);

impl Dscp {
    /// As the byte of the IP header that it stands in: the type of service, or the traffic class. Its two lowest bits are
    /// for congestion notification.
    pub const fn as_header_byte(self) -> u8 {
        self.0 << 2
    }
}

impl From<Dscp> for u8 {
    fn from(dscp: Dscp) -> Self {
        dscp.0
    }
}

impl TryFrom<u8> for Dscp {
    type Error = ParseDscpError;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        if value <= LARGEST { Ok(Self(value)) } else { Err(ParseDscpError(value.to_string())) }
    }
}

impl FromStr for Dscp {
    type Err = ParseDscpError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
        let value = named.or_else(|| text.parse().ok()).ok_or_else(|| ParseDscpError(text.to_owned()))?;
        Self::try_from(value)
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, value)| *value == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_point_reads_back_as_it_is_written() {
        for value in 0..=LARGEST {
            let dscp = Dscp::try_from(value).unwrap();
            assert_eq!(dscp.to_string().parse(), Ok(dscp));
            assert_eq!(value.to_string().parse(), Ok(dscp));
        }
        assert_eq!("ef".parse::<Dscp>().unwrap().as_header_byte(), 0xb8);
        assert_eq!("AF41".parse::<Dscp>().unwrap().as_header_byte(), 0x88);
    }

    #[test]
    fn what_is_no_code_point_says_what_is() {
        for text in ["64", "-1", "AF44", "", "EF "] {
            let error = text.parse::<Dscp>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is no DSCP")) && error.contains("AF41"), "{error}");
        }
    }
}
