//! Configuration: one TOML file, one struct per concern, every default a documented constant, every fault found at once.

mod alerts;
mod check;
mod duration;
pub mod files;
mod keys;
mod oidc;

pub use alerts::{Alertmanager, Alerts, Email, SmtpTls, Webhook};
pub use oidc::Oidc;

use crate::{key_life::KeyLife, paths};
use ipnet::IpNet;
use peerlight_proto::limits;
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Where agents reach the collector unless told otherwise: every IPv4 address, port 8443.
pub const DEFAULT_AGENTS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);
/// Where operators reach it unless told otherwise: this machine only, port 8080.
pub const DEFAULT_OPERATORS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// How long measurements live as they came.
pub const DEFAULT_MINUTE_RETENTION: Duration = Duration::from_hours(30 * 24);
/// How long rollups of 15 minutes live.
pub const DEFAULT_QUARTER_HOUR_RETENTION: Duration = Duration::from_hours(100 * 24);
/// How long rollups of a day live: five years of 365.25 days.
pub const DEFAULT_DAY_RETENTION: Duration = Duration::from_hours(43_830);
/// Requests per minute that one agent may make in the long run.
pub const DEFAULT_REQUESTS_PER_MINUTE: u32 = 600;
/// Requests that one agent may make at once; a backlog is pushed this fast before the rate holds it.
pub const DEFAULT_BURST: u32 = 300;
/// Enrolments and sign-ins per minute that one address may try.
pub const DEFAULT_ATTEMPTS_PER_MINUTE: u32 = 30;
/// Pushes that are under way at once.
pub const DEFAULT_PUSHES: u32 = 1_024;
/// Measurements that one agent may store in a day: one of each of the series below each minute, or a backlog of 14 days of
/// 1,300 series and the day itself.
pub const DEFAULT_MEASUREMENTS_PER_DAY: u32 = 30_000_000;
/// Sessions that one agent may begin in a day: one for each minute and a half.
pub const DEFAULT_SESSIONS_PER_DAY: u32 = 1_000;
/// Series that one agent may measure in a day: 200 HTTPS targets over both families.
pub const DEFAULT_SERIES_PER_DAY: u32 = 20_000;
/// Values of attributes that one agent may tell of in a day.
pub const DEFAULT_ATTRIBUTES_PER_DAY: u32 = 10_000;
/// How long an agent's key lives.
pub const DEFAULT_KEY_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How long a key that has expired may still be followed by a new one.
pub const DEFAULT_KEY_GRACE: Duration = Duration::from_hours(30 * 24);
/// A page of the dashboard that takes longer to make is kept, and shown with its age to who asks for it again.
pub const DEFAULT_SLOW_PAGE: Duration = Duration::from_millis(250);
/// Connections that each listener holds open at once.
pub const DEFAULT_CONNECTIONS: u32 = 16_384;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The listener that agents talk to.
    pub agents: Agents,
    /// The listener that people and their tools talk to.
    pub operators: Operators,
    /// Where everything is kept.
    pub store: StoreDirectory,
    /// How long measurements live.
    pub retention: Retention,
    /// How much one caller may ask.
    pub limits: Limits,
    /// How long agents' keys live.
    pub keys: Keys,
    /// When alert rules are judged, and who hears of it.
    pub alerts: Alerts,
}

/// `[agents]`: the listener that agents talk to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Agents {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// The URL that enrolment tokens name. Unless set, it is made of `listen`, which serves a single machine only.
    pub url: Option<url::Url>,
    /// Further names and addresses that the listener's certificate is for.
    pub names: Vec<String>,
    /// Proxies whose word tells where a request came from. Anyone else's is ignored.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each connection of a trusted proxy begins with a PROXY protocol v2 header; without, proxies tell by the
    /// `Forwarded` header. Connections from other addresses are agents' own and have none.
    pub proxy_protocol: bool,
}

impl Agents {
    /// The proxies whose connections begin with a PROXY header.
    pub fn proxies(&self) -> Vec<IpNet> {
        if self.proxy_protocol { self.trusted_proxies.clone() } else { Vec::new() }
    }
}

/// `[operators]`: the listener that people and their tools talk to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Operators {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// Host names that this listener answers for, beside those of loopback and `listen`'s own address.
    pub hosts: Vec<String>,
    /// The certificate to present. Required unless `listen` is a loopback address.
    pub tls: Option<Tls>,
    /// The OpenID provider through which people may sign in, besides operator tokens.
    pub oidc: Option<Oidc>,
    /// A page of the dashboard that takes longer to make is kept, and shown with its age to who asks for it again.
    #[serde(deserialize_with = "duration::deserialize")]
    pub slow_page: Duration,
}

impl Operators {
    /// Whether the listener answers for this host, which is without its port and brackets.
    pub fn answers_for(&self, host: &str) -> bool {
        let listed = self.hosts.iter().any(|known| known.trim_matches(['[', ']']).eq_ignore_ascii_case(host));
        listed
            || host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback() || address == self.listen.ip())
    }
}

/// `[operators.tls]`: PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tls {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// `[store]`: where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StoreDirectory {
    /// The directory of the store, the registry and the keys; made at the first run, for its owner only.
    pub directory: PathBuf,
}

/// `[retention]`: how long measurements live (rules, §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// As they came.
    #[serde(deserialize_with = "duration::deserialize")]
    pub minute: Duration,
    /// Rollups of 15 minutes.
    #[serde(deserialize_with = "duration::deserialize")]
    pub quarter_hour: Duration,
    /// Rollups of a UTC day.
    #[serde(deserialize_with = "duration::deserialize")]
    pub day: Duration,
    /// How old an interval may be when it arrives.
    #[serde(deserialize_with = "duration::deserialize")]
    pub acceptance_horizon: Duration,
}

/// `[limits]`: how much one caller may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Requests per minute of one agent.
    pub requests_per_minute: u32,
    /// Requests of one agent at once.
    pub burst: u32,
    /// Measurements that one agent may store in a day. Once it has, its batches wait with it.
    pub measurements_per_day: u32,
    /// Sessions that one agent may begin in a day. A batch of one more waits with its agent.
    pub sessions_per_day: u32,
    /// Different series that one agent may measure in a day, and networks that it may measure them from. Measurements of
    /// one more are refused.
    pub series_per_day: u32,
    /// Different values of attributes that one agent may tell of in a day. One more is left out.
    pub attributes_per_day: u32,
    /// Enrolments and sign-ins per minute of one address.
    pub attempts_per_minute: u32,
    /// Pushes under way at once; from a fourth of it on, backlogs are slowed down.
    pub pushes: u32,
    /// Connections of each listener.
    pub connections: u32,
}

/// `[keys]`: how long agents' keys live. Agents replace theirs at about two thirds of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Keys {
    /// From when a key is made known until it expires.
    #[serde(deserialize_with = "duration::deserialize")]
    pub lifetime: Duration,
    /// How long an agent may still replace a key that has expired; it may do nothing else with it.
    #[serde(deserialize_with = "duration::deserialize")]
    pub grace: Duration,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            listen: DEFAULT_AGENTS_LISTEN,
            url: None,
            names: Vec::new(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
        }
    }
}

impl Default for Operators {
    fn default() -> Self {
        Self {
            listen: DEFAULT_OPERATORS_LISTEN,
            hosts: Vec::new(),
            tls: None,
            oidc: None,
            slow_page: DEFAULT_SLOW_PAGE,
        }
    }
}

impl Default for StoreDirectory {
    fn default() -> Self {
        Self { directory: paths::default_directory() }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            minute: DEFAULT_MINUTE_RETENTION,
            quarter_hour: DEFAULT_QUARTER_HOUR_RETENTION,
            day: DEFAULT_DAY_RETENTION,
            acceptance_horizon: limits::ACCEPTANCE_HORIZON,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: DEFAULT_REQUESTS_PER_MINUTE,
            burst: DEFAULT_BURST,
            measurements_per_day: DEFAULT_MEASUREMENTS_PER_DAY,
            sessions_per_day: DEFAULT_SESSIONS_PER_DAY,
            series_per_day: DEFAULT_SERIES_PER_DAY,
            attributes_per_day: DEFAULT_ATTRIBUTES_PER_DAY,
            attempts_per_minute: DEFAULT_ATTEMPTS_PER_MINUTE,
            pushes: DEFAULT_PUSHES,
            connections: DEFAULT_CONNECTIONS,
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { lifetime: DEFAULT_KEY_LIFETIME, grace: DEFAULT_KEY_GRACE }
    }
}

impl From<Keys> for KeyLife {
    fn from(keys: Keys) -> Self {
        Self { lifetime: keys.lifetime, grace: keys.grace }
    }
}

impl From<Retention> for crate::store::Retention {
    fn from(retention: Retention) -> Self {
        Self {
            minute: retention.minute,
            quarter_hour: retention.quarter_hour,
            day: retention.day,
            acceptance_horizon: retention.acceptance_horizon,
        }
    }
}

/// A configuration that the collector does not run with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("the configuration is not TOML: {0}")]
    Syntax(#[from] toml::de::Error),
    /// It breaks rules; every one that it breaks is named.
    #[error("the configuration is not acceptable:\n  {}", .0.join("\n  "))]
    Invalid(Vec<String>),
}

impl Config {
    /// Reads a file; without one, every default holds.
    pub fn load(path: Option<&std::path::Path>) -> Result<Self, ConfigError> {
        match path {
            None => Self::parse(""),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
                Self::parse(&text)
            }
        }
    }

    /// Reads a text and checks it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = toml::from_str(text)?;
        let mut errors = keys::unknown(&table);
        let config = Self {
            agents: section(&table, "agents", &mut errors),
            operators: section(&table, "operators", &mut errors),
            store: section(&table, "store", &mut errors),
            retention: section(&table, "retention", &mut errors),
            limits: section(&table, "limits", &mut errors),
            keys: section(&table, "keys", &mut errors),
            alerts: section(&table, "alerts", &mut errors),
        };
        errors.extend(config.faults());
        if errors.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(errors)) }
    }

    /// Every rule that it breaks; empty when the collector runs with it.
    pub fn faults(&self) -> Vec<String> {
        check::faults(self)
    }
}

/// One section of the file; its default where it is absent or cannot be read.
fn section<T: Default + for<'de> Deserialize<'de>>(
    table: &toml::Table,
    name: &'static str,
    errors: &mut Vec<String>,
) -> T {
    let Some(value) = table.get(name) else { return T::default() };
    match value.clone().try_into() {
        Ok(section) => section,
        Err(error) => {
            errors.push(format!("[{name}] {}", error.to_string().trim().replace('\n', " ")));
            T::default()
        }
    }
}

#[cfg(test)]
mod tests;
