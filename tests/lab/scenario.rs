//! Scenarios: which sites there are, what the paths between them and the echo servers are like, and what is probed.
//!
//! A scenario is a TOML file; `tests/scenarios/six-sites.toml` is the one that `cargo lab` runs unless told otherwise.

use serde::Deserialize;
use std::{collections::BTreeSet, path::Path, time::Duration};

/// The scenario that runs unless another is named.
const SIX_SITES: &str = include_str!("../scenarios/six-sites.toml");
/// The sites' networks are numbered in one byte, and 0 is the core's.
const MAX_SITES: usize = 200;
/// Delays beyond this would be late for the lab's agents.
const MAX_DELAY: Duration = Duration::from_millis(800);

/// A network to measure and what to measure in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Where the paths' randomness starts, so that a run can be repeated.
    pub seed: u64,
    /// Where agents measure.
    #[serde(rename = "site")]
    pub sites: Vec<Site>,
    /// What they measure.
    #[serde(rename = "target")]
    pub targets: Vec<EchoTarget>,
}

/// A branch office behind one provider, with one agent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its provider's name.
    pub provider: String,
    /// Where it is, as ISO 3166-2.
    pub location: String,
    /// That location's time zone, by its IANA name.
    pub time_zone: String,
    /// What its path to the echo servers is like.
    #[serde(flatten)]
    pub conditions: Conditions,
}

/// What a path is like, there and back together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Conditions {
    /// The round trip's delay.
    #[serde(deserialize_with = "duration")]
    pub delay: Duration,
    /// The most that is added at random to the round trip's delay.
    #[serde(default, deserialize_with = "duration")]
    pub jitter: Duration,
    /// The probability that a round trip is lost.
    #[serde(default)]
    pub loss: f64,
}

/// An echo server and how it is probed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EchoTarget {
    /// What the report calls it.
    pub name: String,
    /// The service that it stands for.
    pub service: String,
    /// Its host name, which the lab's DNS server answers for.
    pub host: String,
    /// How it is probed.
    pub probes: BTreeSet<EchoProbe>,
    /// The time between two probes of a kind.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How long its HTTPS server takes to answer.
    #[serde(default, deserialize_with = "duration")]
    pub server_delay: Duration,
}

/// A kind of probe that an echo server answers; its port is found when the server binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EchoProbe {
    /// ICMP echo, answered by the kernel.
    Icmp,
    /// A TCP connect.
    Tcp,
    /// An HTTPS exchange.
    Https,
    /// A lookup of its name.
    Dns,
    /// UDP echo.
    Udp,
}

/// Why a scenario cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("cannot read the scenario {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a scenario.
    #[error("the scenario {name} is not valid: {source}")]
    Parse {
        /// Which scenario.
        name: String,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// It contradicts itself or asks for too much.
    #[error("the scenario {name} cannot run:\n  {}", faults.join("\n  "))]
    Check {
        /// Which scenario.
        name: String,
        /// All that is wrong.
        faults: Vec<String>,
    },
}

impl Scenario {
    /// Two providers at three locations each, three targets.
    pub fn six_sites() -> Result<Self, ScenarioError> {
        Self::parse("six-sites", SIX_SITES)
    }

    /// The scenario in the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: name.clone(), source })?;
        Self::parse(&name, &text)
    }

    /// The scenario that `text` describes.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)
            .map_err(|source| ScenarioError::Parse { name: name.to_owned(), source: Box::new(source) })?;
        let faults = scenario.faults();
        if faults.is_empty() {
            Ok(scenario)
        } else {
            Err(ScenarioError::Check { name: name.to_owned(), faults })
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.sites.is_empty() || self.sites.len() > MAX_SITES {
            faults.push(format!("it has {} sites; it needs 1 to {MAX_SITES}", self.sites.len()));
        }
        if self.targets.is_empty() || self.targets.len() > MAX_SITES {
            faults.push(format!("it has {} targets; it needs 1 to {MAX_SITES}", self.targets.len()));
        }
        let mut names = BTreeSet::new();
        for site in &self.sites {
            if !names.insert(&site.name) {
                faults.push(format!("the site `{}` stands there twice", site.name));
            }
            let Conditions { delay, jitter, loss } = site.conditions;
            if delay + jitter > MAX_DELAY {
                faults.push(format!("site `{}`: delay and jitter exceed {MAX_DELAY:?} together", site.name));
            }
            if !(0.0..=1.0).contains(&loss) {
                faults.push(format!("site `{}`: loss {loss} is not between 0 and 1", site.name));
            }
        }
        let mut hosts = BTreeSet::new();
        for target in &self.targets {
            if !hosts.insert(&target.host) || !names.insert(&target.name) {
                faults.push(format!("the name or host of target `{}` stands there twice", target.name));
            }
            if target.probes.is_empty() || target.interval < Duration::from_millis(10) {
                faults
                    .push(format!("target `{}` needs a probe and an interval of 10ms or more", target.name));
            }
        }
        faults
    }
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenario_has_two_providers_at_three_locations_each() {
        let scenario = Scenario::six_sites().unwrap();
        let providers: BTreeSet<_> = scenario.sites.iter().map(|site| &site.provider).collect();
        let locations: BTreeSet<_> = scenario.sites.iter().map(|site| &site.location).collect();
        assert_eq!((scenario.sites.len(), providers.len(), locations.len()), (6, 2, 3));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let text = r#"
            seed = 1
            [[site]]
            name = "a"
            provider = "P"
            location = "GB-LND"
            time_zone = "Europe/London"
            delay = "2s"
            loss = 1.5
            [[target]]
            name = "t"
            service = "s"
            host = "t.example"
            probes = []
            interval = "1s"
        "#;
        let error = Scenario::parse("bad", text).unwrap_err().to_string();
        insta::assert_snapshot!(error, @r"
        the scenario bad cannot run:
          site `a`: delay and jitter exceed 800ms together
          site `a`: loss 1.5 is not between 0 and 1
          target `t` needs a probe and an interval of 10ms or more
        ");
    }
}
