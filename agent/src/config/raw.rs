//! The configuration as it stands in the file, before it is checked.

use crate::{proxy::HttpsPaths, trust::CollectorTrust};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) state: Option<PathBuf>,
    pub(super) site: Option<Site>,
    pub(super) collector: Collector,
    pub(super) proxy: Proxy,
    pub(super) uplink: Vec<Uplink>,
    pub(super) target: Vec<Target>,
    pub(super) probing: Probing,
    pub(super) resolver: Resolver,
    pub(super) https: Https,
    pub(super) spool: Spool,
    pub(super) limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) provider: String,
    pub(super) location: String,
    #[serde(default)]
    pub(super) prefixes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Uplink {
    pub(super) name: String,
    #[serde(default)]
    pub(super) provider: String,
    #[serde(default)]
    pub(super) location: String,
    #[serde(default)]
    pub(super) prefixes: Vec<String>,
    #[serde(default)]
    pub(super) source_v4: Option<Ipv4Addr>,
    #[serde(default)]
    pub(super) source_v6: Option<Ipv6Addr>,
    #[serde(default)]
    pub(super) interface: Option<String>,
    #[serde(default)]
    pub(super) dscp: Option<Dscp>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Collector {
    pub(super) url: Option<String>,
    pub(super) trust: CollectorTrust,
    pub(super) retire_on_removal: bool,
}

impl Default for Collector {
    fn default() -> Self {
        Self { url: None, trust: CollectorTrust::default(), retire_on_removal: true }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Proxy {
    #[serde(rename = "use")]
    pub(super) choice: ProxyUse,
    pub(super) url: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) bypass: Vec<String>,
    pub(super) probe: HttpsPaths,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProxyUse {
    #[serde(rename = "none")]
    Nothing,
    #[default]
    Environment,
    System,
    Static,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) name: String,
    #[serde(default)]
    pub(super) service: String,
    pub(super) address: String,
    pub(super) probes: Vec<String>,
    #[serde(default)]
    pub(super) issuer: Option<String>,
    #[serde(default)]
    pub(super) interval: Option<Human>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Probing {
    pub(super) timeout: Option<Human>,
    pub(super) deadline: Option<Human>,
    pub(super) icmp_engine: Engine,
    pub(super) source_v4: Option<Ipv4Addr>,
    pub(super) source_v6: Option<Ipv6Addr>,
    pub(super) interface: Option<String>,
    pub(super) dscp: Option<Dscp>,
    pub(super) families: Option<Vec<String>>,
    pub(super) interval: Option<Human>,
    pub(super) capture_paths: Option<bool>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    #[default]
    Native,
    Portable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Resolver {
    pub(super) servers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Https {
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Spool {
    pub(super) max_bytes: Option<Bytes>,
    pub(super) max_age: Option<Human>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) allow: Vec<String>,
    pub(super) max_packets_per_second: Option<u32>,
}

/// A duration as people write it: `10s`, `250ms`, `14d`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Human(pub(super) Duration);

impl<'de> Deserialize<'de> for Human {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|_malformed| {
            D::Error::custom(format!("`{text}` is not a duration; write 250ms, 10s, 5min or 14d"))
        })
    }
}

/// A code point by number or name: `46` or `"EF"`.
#[derive(Debug, Clone)]
pub(super) struct Dscp(pub(super) String);

impl<'de> Deserialize<'de> for Dscp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a DSCP is a number from 0 to 63, or a name such as \"EF\"")]
        enum Written {
            Number(i64),
            Text(String),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(number) => Self(number.to_string()),
            Written::Text(text) => Self(text),
        })
    }
}

/// A number of bytes: `268435456` or `"256MiB"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes(pub(super) u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => bytes(&text).map(Self).ok_or_else(|| {
                D::Error::custom(format!("`{text}` is not a size; write 512KiB, 256MiB or 1GiB"))
            }),
        }
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
