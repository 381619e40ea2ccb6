//! The arguments of the `probe` command, and the plan that they make.

use super::targets::Subject;
use crate::{
    format::Format,
    probe::{IcmpEngine, ProbeSettings, Trust},
};
use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use peerlight_proto::{duration, series::Family};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// The shortest interval: below it targets would be flooded.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// How long after the time-out an answer still counts as late.
const GRACE: Duration = Duration::from_secs(1);

const TARGETS: &str = "What to probe: icmp://HOST, tcp://HOST:PORT, https://HOST/PATH, dns://NAME, udp://HOST:PORT; a \
                       bare HOST means icmp, tcp:443 and https";

/// What to measure, how often, and how to show it.
#[derive(Debug, Clone, Args)]
pub struct ProbeArgs {
    /// What to probe
    #[arg(required = true, value_name = "TARGET", help = TARGETS)]
    pub targets: Vec<String>,
    /// How many probes to send to each target
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// The time between two probes of a target
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// The address to send from; once for each family
    #[arg(long, value_name = "ADDR")]
    pub source: Vec<IpAddr>,
    /// How long to wait for an answer
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Over which address families
    #[arg(long, value_enum, default_value_t)]
    pub family: Families,
    /// Ask this DNS server instead of the system's (ADDR or ADDR:PORT)
    #[arg(long, value_name = "ADDR", value_parser = dns_server)]
    pub dns_server: Vec<SocketAddr>,
    /// Trust the CA certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// What sends ICMP
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
}

/// Over which address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Families {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Each that the target and this machine have.
    #[default]
    Both,
}

/// What sends ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Engine {
    /// The platform's own, with kernel time stamps where it has them.
    #[default]
    Native,
    /// surge-ping, by this process's clock.
    Portable,
}

/// What is going to be done.
pub(super) struct Plan {
    pub(super) subjects: Vec<Subject>,
    pub(super) families: Vec<Family>,
    pub(super) count: u32,
    pub(super) interval: Duration,
    pub(super) format: Format,
    pub(super) settings: ProbeSettings,
}

impl ProbeArgs {
    /// The plan, if the arguments make one.
    pub(super) fn plan(self) -> anyhow::Result<Plan> {
        ensure!(
            self.interval >= MIN_INTERVAL,
            "an interval of {} would flood the target; the shortest is {}",
            duration::text(self.interval),
            duration::text(MIN_INTERVAL)
        );
        let mut settings = ProbeSettings {
            timeout: self.timeout,
            deadline: self.timeout.saturating_add(GRACE),
            icmp_engine: match self.engine {
                Engine::Native => IcmpEngine::Native,
                Engine::Portable => IcmpEngine::Portable,
            },
            dns_servers: self.dns_server,
            trust: self.cacert.map_or(Trust::Platform, Trust::File),
            // Whoever types a target means it: ceilings bind what is assigned.
            allow: vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())],
            ..ProbeSettings::default()
        };
        for source in self.source {
            let taken = match source {
                IpAddr::V4(source) => settings.source_v4.replace(source).is_some(),
                IpAddr::V6(source) => settings.source_v6.replace(source).is_some(),
            };
            if taken {
                bail!("--source {source}: there is another source of that family; give one for each family");
            }
        }
        let mut subjects = Vec::new();
        for target in &self.targets {
            subjects.extend(Subject::read(target)?);
        }
        let families = match self.family {
            Families::V4 => vec![Family::V4],
            Families::V6 => vec![Family::V6],
            Families::Both => vec![Family::V4, Family::V6],
        };
        let (count, interval, format) = (self.count, self.interval, self.format);
        Ok(Plan { subjects, families, count, interval, format, settings })
    }
}

fn dns_server(text: &str) -> Result<SocketAddr, String> {
    text.parse::<SocketAddr>()
        .or_else(|_no_port| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)))
        .map_err(|_neither| format!("`{text}` is neither an address nor ADDR:PORT (IPv6: [ADDR]:PORT)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        probe: ProbeArgs,
    }

    fn plan(args: &str) -> anyhow::Result<Plan> {
        let args = std::iter::once("probe").chain(args.split_whitespace());
        Cli::try_parse_from(args)?.probe.plan()
    }

    #[test]
    fn defaults_are_ten_probes_a_second_apart_over_both_families() {
        let plan = plan("example.com").unwrap();
        assert_eq!((plan.count, plan.interval.as_secs(), plan.format), (10, 1, Format::Table));
        assert_eq!((plan.subjects.len(), plan.families.len()), (3, 2));
        assert_eq!(plan.settings.deadline, Duration::from_secs(3));
    }

    #[test]
    fn a_flood_is_refused_and_so_are_two_sources_of_a_family() {
        let error = plan("example.com --interval 9ms").err().unwrap().to_string();
        assert_eq!(error, "an interval of 9ms would flood the target; the shortest is 10ms");
        assert!(plan("h --source 10.0.0.1 --source 10.0.0.2").is_err());
        let sources = plan("h --source 10.0.0.1 --source fd00::1").unwrap().settings;
        assert!(sources.source_v4.is_some() && sources.source_v6.is_some());
    }

    #[test]
    fn dns_servers_may_have_ports() {
        assert_eq!(dns_server("9.9.9.9").unwrap().to_string(), "9.9.9.9:53");
        assert_eq!(dns_server("[::1]:5353").unwrap().to_string(), "[::1]:5353");
        assert!(dns_server("dns.example").is_err());
    }

    #[test]
    fn no_count_is_zero() {
        assert!(plan("h --count 0").is_err());
    }
}
