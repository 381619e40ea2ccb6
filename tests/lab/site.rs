//! A site of the lab: what it is registered as, where its agent runs, and the configuration that its agent is given.

use crate::{
    network::{Network, Place},
    scenario::{EchoTarget, Scenario, Site},
};
use ipnet::IpNet;
use peerlight_proto::time::IntervalLength;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// An answer within this time counts; what the lab's truth goes by, too.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// When the lab's agents give a probe up, so that intervals close soon.
pub const DEADLINE: Duration = Duration::from_millis(1_500);

/// The lab measures far more often than an agent on the Internet may.
const PACKETS_PER_SECOND: u32 = 5_000;

/// A site and its agent.
#[derive(Debug, Clone)]
pub struct LabSite {
    /// What it is registered as.
    pub site: Site,
    /// Its networks.
    pub prefixes: Vec<IpNet>,
    /// The source addresses that its probes are bound to; the system's choice if none.
    pub sources: Vec<IpAddr>,
    /// Where its agent opens its sockets.
    pub place: Place,
}

/// What all agents of a lab are configured with.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// Where the collector listens for agents.
    pub collector: String,
    /// How long measurement intervals are.
    pub interval: IntervalLength,
    /// The lab's own DNS server; the system's if none.
    pub dns: Option<SocketAddr>,
    /// The lab's own certification authority; the system's if none.
    pub ca_file: Option<PathBuf>,
    /// What may be probed although it is not public.
    pub allow: Vec<IpNet>,
    /// What is probed; the built-in catalogue if nothing.
    pub targets: Vec<(EchoTarget, Vec<String>)>,
}

impl LabSite {
    /// The sites of `scenario` on `network`.
    pub fn all(scenario: &Scenario, network: &Network) -> Vec<Self> {
        let sites = scenario.sites.iter().zip(&network.plan.sites).zip(&network.sites);
        sites
            .map(|((site, plan), place)| Self {
                site: site.clone(),
                prefixes: plan.prefixes.clone(),
                sources: plan.agent.clone(),
                place: place.clone(),
            })
            .collect()
    }

    /// The agent's configuration as its file would be, with its state in `directory`.
    pub fn agent_configuration(
        &self,
        settings: &AgentSettings,
        directory: &Path,
    ) -> Result<String, toml::ser::Error> {
        let source =
            |wanted: fn(&IpAddr) -> bool| self.sources.iter().find(|&address| wanted(address)).copied();
        toml::to_string(&AgentFile {
            state: directory,
            site: SiteSection {
                name: &self.site.name,
                provider: &self.site.provider,
                location: &self.site.location,
                prefixes: &self.prefixes,
            },
            collector: BTreeMap::from([("url", settings.collector.as_str())]),
            probing: ProbingSection {
                interval: format!("{}s", settings.interval.as_secs()),
                timeout: format!("{}ms", TIMEOUT.as_millis()),
                deadline: format!("{}ms", DEADLINE.as_millis()),
                source_v4: source(IpAddr::is_ipv4),
                source_v6: source(IpAddr::is_ipv6),
                // The truth counts every packet to a target's port, and those that look for routers are no probes.
                capture_paths: false,
            },
            resolver: settings.dns.map(|dns| BTreeMap::from([("servers", vec![dns])])),
            https: settings.ca_file.as_deref().map(|file| BTreeMap::from([("ca_file", file)])),
            limits: LimitsSection { allow: &settings.allow, max_packets_per_second: PACKETS_PER_SECOND },
            target: settings
                .targets
                .iter()
                .map(|(target, probes)| TargetSection {
                    name: &target.name,
                    service: &target.service,
                    address: &target.host,
                    probes,
                    interval: format!("{}ms", target.interval.as_millis()),
                })
                .collect(),
        })
    }
}

#[derive(Serialize)]
struct AgentFile<'a> {
    state: &'a Path,
    site: SiteSection<'a>,
    collector: BTreeMap<&'static str, &'a str>,
    probing: ProbingSection,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolver: Option<BTreeMap<&'static str, Vec<SocketAddr>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    https: Option<BTreeMap<&'static str, &'a Path>>,
    limits: LimitsSection<'a>,
    target: Vec<TargetSection<'a>>,
}

#[derive(Serialize)]
struct SiteSection<'a> {
    name: &'a str,
    provider: &'a str,
    location: &'a str,
    prefixes: &'a [IpNet],
}

#[derive(Serialize)]
struct ProbingSection {
    interval: String,
    timeout: String,
    deadline: String,
    capture_paths: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_v4: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_v6: Option<IpAddr>,
}

#[derive(Serialize)]
struct LimitsSection<'a> {
    allow: &'a [IpNet],
    max_packets_per_second: u32,
}

#[derive(Serialize)]
struct TargetSection<'a> {
    name: &'a str,
    service: &'a str,
    address: &'a str,
    probes: &'a [String],
    interval: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        echo,
        network::{Choice, prepare},
    };

    #[test]
    fn the_agents_configuration_names_its_site_its_sources_and_the_labs_servers() {
        let scenario = Scenario::six_sites().unwrap();
        let network = Network::build(&prepare(Choice::Loopback).unwrap(), &scenario, &[]).unwrap();
        let sockets = echo::bind(&network, &scenario.targets[..1]).unwrap();
        let settings = AgentSettings {
            collector: "https://127.18.0.1:8443".into(),
            interval: IntervalLength::from_secs(2).unwrap(),
            dns: Some(([127, 18, 0, 1], 5353).into()),
            ca_file: Some("/lab/echo-ca.pem".into()),
            allow: network.plan.all.clone(),
            targets: sockets.probes().into_iter().map(|(target, probes)| (target.clone(), probes)).collect(),
        };
        let site = &LabSite::all(&scenario, &network)[0];
        let text = site.agent_configuration(&settings, Path::new("/lab/london-1")).unwrap();
        insta::assert_snapshot!(without_ports(&text));
    }

    /// The text with the ports that the system chose made the same in every run.
    fn without_ports(text: &str) -> String {
        let mut out = String::new();
        for part in text.split_inclusive(['"', ',', '\n']) {
            let (kind, port) = part.trim_end_matches(['"', ',', '\n']).split_once(':').unwrap_or((part, ""));
            let chosen =
                ["tcp", "udp", "https"].contains(&kind) && port.bytes().all(|byte| byte.is_ascii_digit());
            out.push_str(&if chosen { part.replace(port, "PORT") } else { part.to_owned() });
        }
        out
    }
}
