//! The configuration: one TOML file, checked whole before anything is opened.

mod check;
mod departure;
mod describe;
mod keys;
mod proxy;
mod raw;
mod uplinks;

pub use describe::{Description, describe};

use crate::{
    paths::{StateDir, default_state},
    probe::ProbeSettings,
    proxy::ProxySettings,
    spool::SpoolSettings,
    targets::{Ceilings, ScheduledTarget},
    trust::CollectorTrust,
    uplink::{Uplink, Way},
};
use peerlight_proto::{enrolment::SiteAssertion, series::Family, time::IntervalLength};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use url::Url;

/// The checked configuration, one struct per concern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is said of the site; the collector's registration is the truth.
    pub site: Option<SiteAssertion>,
    /// The uplinks that are measured side by side, each a site of its own; empty for the one of `site`.
    pub uplinks: Vec<Uplink>,
    /// The collector, if it is named here rather than by the enrolment token alone.
    pub collector: CollectorConfig,
    /// Through which proxy the collector is reached, and targets, if they are.
    pub proxy: ProxySettings,
    /// The targets of the file, each probe on its own; together with those that the collector assigns.
    pub targets: Vec<ScheduledTarget>,
    /// How probes are sent.
    pub probing: Probing,
    /// How much waits for the collector at most.
    pub spool: SpoolSettings,
    /// What no assignment can exceed.
    pub limits: Ceilings,
    /// What must not be forgotten.
    pub state: StateDir,
    /// Where somebody may drop an enrolment token: beside the file that this was read from.
    pub dropped_token: Option<PathBuf>,
}

/// The collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorConfig {
    /// Where it is.
    pub url: Option<Url>,
    /// Whose certificate it has.
    pub trust: CollectorTrust,
    /// Whether it is told when the program is removed.
    pub retire_on_removal: bool,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self { url: None, trust: CollectorTrust::default(), retire_on_removal: true }
    }
}

/// How probes are sent and what one measurement covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probing {
    /// How one probe is sent.
    pub settings: ProbeSettings,
    /// The families that are probed, each on its own.
    pub families: Vec<Family>,
    /// How long an interval is.
    pub interval: IntervalLength,
    /// Whether the path to a target that turns bad is captured.
    pub capture_paths: bool,
}

impl Default for Probing {
    fn default() -> Self {
        Self {
            settings: ProbeSettings::default(),
            families: Family::ALL.to_vec(),
            interval: IntervalLength::MINUTE,
            capture_paths: crate::trace::WORKS_HERE,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            site: None,
            uplinks: Vec::new(),
            collector: CollectorConfig::default(),
            proxy: ProxySettings::default(),
            targets: Vec::new(),
            probing: Probing::default(),
            spool: SpoolSettings::default(),
            limits: Ceilings::default(),
            state: StateDir::new(default_state()),
            dropped_token: None,
        }
    }
}

/// A file that is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It fails these checks, all that were found.
    #[error("the configuration has {}:\n{}", problems(.0.len()), list(.0))]
    Invalid(Vec<String>),
}

fn problems(count: usize) -> String {
    if count == 1 { "a problem".to_owned() } else { format!("{count} problems") }
}

fn list(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Ok(Self { dropped_token: Some(path.with_extension("token")), ..Self::parse(&text)? })
    }

    /// Checks the text of a file. Unknown keys are all reported, and so are all failed checks.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let unknown = keys::unknown(text).map_err(|error| ConfigError::Invalid(vec![error]))?;
        if !unknown.is_empty() {
            return Err(ConfigError::Invalid(unknown));
        }
        let raw: raw::File =
            toml::from_str(text).map_err(|error| ConfigError::Invalid(vec![keys::located(text, &error)]))?;
        check::check(raw).map_err(ConfigError::Invalid)
    }

    /// About how many packets a second these targets send at most.
    fn packets_per_second(&self, targets: &[ScheduledTarget]) -> f64 {
        let families = self.ways().iter().map(|way| way.families.len()).sum();
        self.limits.packets_per_second(targets, families, self.proxy.probe)
    }

    /// The ways that probes take: one for each uplink, or the only one.
    pub fn ways(&self) -> Vec<Way> {
        let Probing { settings, families, .. } = &self.probing;
        if self.uplinks.is_empty() {
            return vec![Way { uplink: None, families: families.clone(), settings: settings.clone() }];
        }
        self.uplinks.iter().map(|uplink| uplink.way(settings)).collect()
    }

    /// The names of the uplinks.
    pub fn uplink_names(&self) -> Vec<String> {
        self.uplinks.iter().map(|uplink| uplink.name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests;
