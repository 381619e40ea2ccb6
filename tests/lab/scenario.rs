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
    /// Degrees north and east of that location, where the middle of its subdivision will not do.
    #[serde(default)]
    pub coordinates: Option<[f64; 2]>,
    /// What its path to the echo servers is like.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// When its agent is not running.
    #[serde(default)]
    pub rest: Option<Recurring>,
}

/// What a path is like, there and back together.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// The round trip's delay.
    #[serde(deserialize_with = "duration")]
    pub delay: Duration,
    /// The most that is added at random to the round trip's delay.
    #[serde(deserialize_with = "duration")]
    pub jitter: Duration,
    /// The probability that a round trip is lost.
    pub loss: f64,
    /// The share of delay, jitter, loss and duplication that the way out has; the way back has the rest.
    pub outbound_share: f64,
    /// The probability that a round trip is answered twice.
    pub duplication: f64,
    /// The probability that a packet keeps to no order: it may overtake others and be overtaken, as far as the jitter
    /// lets it.
    pub reordering: f64,
    /// The probability that a router refuses a request to an echo server: it says by ICMP that it must not pass.
    pub refusal: f64,
    /// The probability that what an echo server answers comes from another address than was asked.
    pub foreign: f64,
    /// When the path is dark, and nothing passes it.
    pub outage: Option<Recurring>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            outbound_share: 0.5,
            duplication: 0.0,
            reordering: 0.0,
            refusal: 0.0,
            foreign: 0.0,
            outage: None,
        }
    }
}

/// Something that comes again and again: it takes up the end of each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurring {
    /// The period, counted from the first packet of a path and from the start of an agent.
    #[serde(deserialize_with = "duration")]
    pub every: Duration,
    /// How long it lasts at the end of each period.
    #[serde(deserialize_with = "duration")]
    pub lasts: Duration,
}

impl Recurring {
    /// How long each period is free of it.
    pub const fn free(self) -> Duration {
        self.every.saturating_sub(self.lasts)
    }

    /// Whether it is on at this time since it began.
    pub const fn is_on(self, since: Duration) -> bool {
        let period = self.every.as_nanos();
        period > 0 && since.as_nanos() % period >= self.free().as_nanos()
    }
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
            site.faults(&mut faults);
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

impl Site {
    fn faults(&self, faults: &mut Vec<String>) {
        let Conditions {
            delay,
            jitter,
            loss,
            outbound_share,
            duplication,
            reordering,
            refusal,
            foreign,
            outage,
        } = self.conditions;
        let name = &self.name;
        if delay + jitter > MAX_DELAY {
            faults.push(format!("site `{name}`: delay and jitter exceed {MAX_DELAY:?} together"));
        }
        let shares = [
            ("loss", loss),
            ("outbound_share", outbound_share),
            ("duplication", duplication),
            ("reordering", reordering),
            ("refusal", refusal),
            ("foreign", foreign),
        ];
        for (what, share) in shares.into_iter().filter(|(_, share)| !(0.0..=1.0).contains(share)) {
            faults.push(format!("site `{name}`: {what} {share} is not between 0 and 1"));
        }
        for (what, recurring) in [("outage", outage), ("rest", self.rest)] {
            if recurring.is_some_and(|recurring| recurring.lasts >= recurring.every) {
                faults.push(format!("site `{name}`: its {what} must last less than its period"));
            }
        }
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
    fn every_scenario_that_ships_can_run() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap();
        let read = files.map(|file| Scenario::read(&file.unwrap().path()).unwrap()).collect::<Vec<_>>();
        assert!(read.len() >= 5, "{} scenarios", read.len());
    }

    #[test]
    fn a_condition_that_does_not_exist_is_an_error_that_names_it() {
        let text = SIX_SITES.replacen("loss =", "losses =", 1);
        let error = Scenario::parse("bad", &text).unwrap_err().to_string();
        assert!(error.contains("unknown field `losses`"), "{error}");
    }

    #[test]
    fn what_recurs_takes_up_the_end_of_each_period() {
        let recurring = Recurring { every: Duration::from_secs(10), lasts: Duration::from_secs(3) };
        let on: Vec<u64> = (0..20).filter(|&at| recurring.is_on(Duration::from_secs(at))).collect();
        assert_eq!(on, [7, 8, 9, 17, 18, 19]);
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
            refusal = -0.5
            outage = { every = "5s", lasts = "5s" }
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
          site `a`: refusal -0.5 is not between 0 and 1
          site `a`: its outage must last less than its period
          target `t` needs a probe and an interval of 10ms or more
        ");
    }
}
