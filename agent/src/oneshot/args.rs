//! The arguments of the `probe` command, and the plan that they make.

use super::{render::live, targets::Subject, threshold::Limit};
use crate::{
    probe::{CAN_STEER, Dscp, IcmpEngine, Interface, ProbeSettings, Trust},
    proxy::{Bypass, Login, Proxies, Proxy, ProxyChoice, ProxySettings},
};
use anyhow::{Context as _, bail, ensure};
use clap::{Args, ColorChoice, ValueEnum};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use peerlight_proto::{duration, series::Family};
use std::{
    io::{self, IsTerminal as _},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// The shortest interval: below it targets would be flooded.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
const DEFAULT_COUNT: u32 = 10;
/// How long after the time-out an answer still counts as late.
const GRACE: Duration = Duration::from_secs(1);

const TARGETS: &str = "What to probe: icmp://HOST, tcp://HOST:PORT, https://HOST/PATH, dns://NAME, udp://HOST:PORT; a \
                       bare HOST means icmp, tcp:443 and https";

/// Who signs on to the proxy: never in an argument, which everybody on the machine can read.
const USERNAME_VARIABLE: &str = "PEERLIGHT_PROXY_USERNAME";

const NOTES: &str = "\
Times are in milliseconds, by the kernel's clock where it has one. A percentile
needs answers: p50 and p90 10, p95 20, p99 100, p99.9 1000. Ctrl-C ends early,
and shows what was measured; so do q and Esc with --watch.

Examples:
  peerlight-agent probe outlook.office365.com
  peerlight-agent probe https://graph.microsoft.com --count 100 --interval 200ms
  peerlight-agent probe teams.microsoft.com --watch
  peerlight-agent probe teams.microsoft.com --interface wwan0 --dscp AF41
  peerlight-agent probe teams.microsoft.com --fail-over p95=80ms,loss=1%
  peerlight-agent probe icmp://192.0.2.1 --format ndjson | jq .readings

Exit code: 0 if anything answered, 1 if nothing did, 2 if the arguments are
wrong, 3 if something answered and a limit of --fail-over was passed.";

/// What to measure, how often, and how to show it.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = NOTES)]
pub struct ProbeArgs {
    /// What to probe
    #[arg(required = true, value_name = "TARGET", help = TARGETS)]
    pub targets: Vec<String>,
    /// How many probes to send to each target [default: 10; with --watch until you quit]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: Option<u32>,
    /// The time between two probes of a target
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// The address to send from; once for each family
    #[arg(long, value_name = "ADDR")]
    pub source: Vec<IpAddr>,
    /// The network interface to send by (Linux)
    #[arg(long, value_name = "NAME")]
    pub interface: Option<Interface>,
    /// Mark probes as the traffic is marked that you care for: EF, AF41, CS5 or a number below 64 (Linux)
    #[arg(long, value_name = "MARK")]
    pub dscp: Option<Dscp>,
    /// How long to wait for an answer
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Fill the terminal while probing: all targets, and of the chosen one the smoke, distribution and phases
    #[arg(long, conflicts_with = "format")]
    pub watch: bool,
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Output,
    /// In which colours; by itself on terminals, unless `NO_COLOR` is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// End with exit code 3 if a figure of any target is above its limit
    ///
    /// p50, p90, p95, p99, p99.9, mean, max, jitter (a time: 80ms) and loss (1%), of the whole probe or, as
    /// https.ttfb:p95=300ms, of one metric. What is above, and what has too few answers to tell, is said on standard error.
    #[arg(long, value_name = "LIMIT,…", value_delimiter = ',')]
    pub fail_over: Vec<Limit>,
    /// Show the routers on the way to each target, too, after the probes
    ///
    /// As `peerlight-agent path` does, which has more options; https:// is traced by TCP to its port, dns:// is not.
    #[arg(long)]
    pub path: bool,
    /// Probe https:// through this proxy: http://HOST:PORT
    ///
    /// Its credentials are never an argument: the name stands in the environment variable `PEERLIGHT_PROXY_USERNAME`, the
    /// password in the file of --proxy-password-file. The other targets are probed directly.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// The file with the password for the proxy
    #[arg(long, value_name = "FILE", requires = "proxy")]
    pub proxy_password_file: Option<PathBuf>,
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

/// How to show the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line for each probe, as it lands.
    Ndjson,
    /// One row for each target, family and metric.
    Csv,
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
    /// Of probes of each target; none until an interrupt.
    pub(super) count: Option<u32>,
    pub(super) watch: bool,
    pub(super) interval: Duration,
    pub(super) output: Output,
    pub(super) color: ColorChoice,
    pub(super) limits: Vec<Limit>,
    pub(super) shows_paths: bool,
    /// Whether HTTPS goes through the proxy of the settings.
    pub(super) through_proxy: bool,
    pub(super) settings: ProbeSettings,
}

impl Plan {
    /// The columns of the longest name of a line.
    pub(super) fn longest_name(&self) -> usize {
        let names = self.subjects.iter().map(|subject| live::name(&subject.text, Family::V4).chars().count());
        names.max().unwrap_or(0)
    }

    /// Whether lines go to a terminal while probes are under way.
    pub(super) fn streams_to_terminal(&self) -> bool {
        self.output == Output::Ndjson && io::stdout().is_terminal()
    }
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
        ensure!(
            !self.watch || io::stdout().is_terminal(),
            "--watch needs a terminal; for a file or another program there is --format ndjson"
        );
        ensure!(
            CAN_STEER || (self.interface.is_none() && self.dscp.is_none()),
            "--interface and --dscp work on Linux alone; --source works everywhere"
        );
        ensure!(
            self.dscp.is_none() || self.engine == Engine::Native,
            "the portable ICMP engine cannot mark packets; leave out --engine or --dscp"
        );
        ensure!(
            !self.path || self.interface.is_none(),
            "--path traces by no interface; leave one of them out, or name the interface's address by --source"
        );
        ensure!(!self.path || self.format == Output::Table, "--path shows tables; leave out --format");
        let proxies = self
            .proxy
            .as_deref()
            .map(|url| proxies(url, self.proxy_password_file, |name| std::env::var(name).ok()));
        let through_proxy = proxies.is_some();
        let mut settings = ProbeSettings {
            proxies: proxies.transpose()?.unwrap_or_default(),
            timeout: self.timeout,
            deadline: self.timeout.saturating_add(GRACE),
            icmp_engine: match self.engine {
                Engine::Native => IcmpEngine::Native,
                Engine::Portable => IcmpEngine::Portable,
            },
            interface: self.interface,
            dscp: self.dscp,
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
        ensure!(
            !through_proxy || subjects.iter().any(Subject::is_https),
            "--proxy serves https:// targets, and there is none"
        );
        Ok(Plan {
            subjects,
            families,
            count: self.count.or_else(|| (!self.watch).then_some(DEFAULT_COUNT)),
            watch: self.watch,
            interval: self.interval,
            output: self.format,
            color: self.color,
            limits: self.fail_over,
            shows_paths: self.path,
            through_proxy,
            settings,
        })
    }
}

/// The one proxy for all, with the credentials of the environment and the file.
fn proxies(
    url: &str,
    password_file: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Proxies> {
    // The text may hold a password and is not repeated.
    let Proxy { host, port, authentication } = url.parse::<Proxy>().context("what --proxy says")?;
    ensure!(
        authentication.is_none(),
        "--proxy must hold no credentials, which everybody on this machine could read; put the name into \
         {USERNAME_VARIABLE} and the password into the file of --proxy-password-file"
    );
    let login = match (variable(USERNAME_VARIABLE).filter(|name| !name.is_empty()), password_file) {
        (Some(username), Some(password_file)) => {
            ensure!(!username.contains(':'), "{USERNAME_VARIABLE} must not contain a colon");
            Some(Login { username, password_file })
        }
        (None, Some(_)) => bail!("--proxy-password-file needs a name in {USERNAME_VARIABLE}"),
        (_, None) => None,
    };
    let choice = ProxyChoice::Static { host, port, login };
    Ok(ProxySettings { choice, bypass: Bypass::default(), ..ProxySettings::default() }.open()?)
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
        assert_eq!((plan.count, plan.interval.as_secs(), plan.output), (Some(10), 1, Output::Table));
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

    #[cfg(target_os = "linux")]
    #[test]
    fn probes_leave_by_an_interface_and_marked_where_the_engine_can() {
        let settings = plan("h --interface eth1 --dscp ef").unwrap().settings;
        assert_eq!(settings.interface.unwrap().as_str(), "eth1");
        assert_eq!(settings.dscp, Some("EF".parse().unwrap()));
        assert!(plan("h --dscp ef --engine portable").is_err());
        assert!(plan("h --interface eth1 --path").is_err());
        assert!(plan("h --dscp 64").is_err() && plan("h --interface a/b").is_err());
    }

    #[test]
    fn dns_servers_may_have_ports() {
        assert_eq!(dns_server("9.9.9.9").unwrap().to_string(), "9.9.9.9:53");
        assert_eq!(dns_server("[::1]:5353").unwrap().to_string(), "[::1]:5353");
        assert!(dns_server("dns.example").is_err());
    }

    #[test]
    fn a_proxy_has_no_credentials_in_its_address() {
        let settings = plan("https://h --proxy http://proxy.example:3128").unwrap().settings;
        assert_eq!(settings.proxies.of("h", 443).unwrap().to_string(), "proxy.example:3128");
        let error = plan("https://h --proxy http://me:hush@proxy:1").err().unwrap().to_string();
        assert!(error.contains("no credentials") && !error.contains("hush"), "{error}");
        let error = format!("{:#}", plan("https://h --proxy socks5://me:hush@proxy:1").err().unwrap());
        assert!(error.contains("http://HOST:PORT") && !error.contains("hush"), "{error}");
        assert!(plan("icmp://h --proxy http://proxy:1").is_err());
        assert!(plan("https://h --proxy-password-file f").is_err());
    }

    #[test]
    fn a_proxy_is_signed_on_to_by_variable_and_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hush\n").unwrap();
        let named = |_: &str| Some("me".to_owned());
        let of = |variable: &dyn Fn(&str) -> Option<String>| {
            proxies("http://proxy:1", Some(file.path().to_owned()), variable)
        };
        assert!(of(&named).unwrap().of("h", 443).unwrap().authentication.is_some());
        assert!(of(&|_| None).unwrap_err().to_string().contains(USERNAME_VARIABLE));
        assert!(of(&|_| Some("a:b".to_owned())).is_err());
        assert!(
            proxies("http://proxy:1", None, named).unwrap().of("h", 443).unwrap().authentication.is_none()
        );
    }

    #[test]
    fn limits_are_separated_by_commas() {
        let limits = plan("h --fail-over p95=80ms,loss=1%").unwrap().limits;
        assert_eq!(limits.iter().map(ToString::to_string).collect::<Vec<_>>(), ["p95=80ms", "loss=1%"]);
        assert!(plan("h --fail-over p95").is_err() && plan("h --path --format csv").is_err());
    }

    #[test]
    fn no_count_is_zero() {
        assert!(plan("h --count 0").is_err());
    }
}
