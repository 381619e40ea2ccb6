//! The arguments of the `path` command, and the plan that they make.

use crate::format::Format;
use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use peerlight_proto::target::{ProbeKind, Target};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Where UDP packets go unless a port is given: by custom nothing listens there, so that the target refuses them.
const UDP_PORT: u16 = 33_434;
/// Where connects go unless a port is given.
const TCP_PORT: u16 = 443;
/// After this time the kernel sends a SYN again, and what is answered could be either.
const SYN_RETRANSMIT: Duration = Duration::from_secs(1);
/// The longest wait for an answer.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest time between two rounds.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

const TARGET: &str = "Where to: HOST, icmp://HOST, tcp://HOST:PORT or udp://HOST[:PORT]";

const PRIVILEGES: &str = "\
Privileges (Linux; other systems are not supported):
  udp, tcp  none
  icmp      what ICMP probes need: this process's group within the sysctl
            net.ipv4.ping_group_range, or the capability CAP_NET_RAW

Each packet is a flow of its own: where a path is balanced over several
routers, a hop shows all that answered. A hop that answers rarely or never may
forward everything: routers answer expired packets when they have the time.

Exit code: 0 if the target was reached, else 1.";

/// Which path to find, and how to show it.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = PRIVILEGES)]
pub struct PathArgs {
    /// Where to
    #[arg(value_name = "TARGET", help = TARGET, required_unless_present = "captured")]
    pub target: Option<String>,
    /// Show the paths that the running agent kept when targets turned bad, and when they were good again; with TARGET, a
    /// target's name or address, its hops too
    #[arg(long, conflicts_with_all = ["method", "max_hops", "count", "interval", "timeout", "family", "source"])]
    pub captured: bool,
    /// What to send [default: as the target says, else icmp]
    #[arg(long, value_enum)]
    pub method: Option<Method>,
    /// How far to look at most
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..))]
    pub max_hops: u8,
    /// How many packets to send to each hop
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub count: u32,
    /// The time between two packets to a hop: many routers answer about one a second
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// How long to wait for an answer; with tcp at most 1s
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Over which address family [default: as the system prefers]
    #[arg(long, value_enum)]
    pub family: Option<Version>,
    /// The address to send from
    #[arg(long, value_name = "ADDR")]
    pub source: Option<IpAddr>,
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// ICMP echo requests.
    Icmp,
    /// UDP packets.
    Udp,
    /// TCP connects.
    Tcp,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Icmp => "icmp",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What is going to be done.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// As it was typed.
    pub(super) target: String,
    /// Where that is; port 0 for ICMP.
    pub(super) to: SocketAddr,
    pub(super) method: Method,
    pub(super) max_hops: u8,
    pub(super) count: u32,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) source: Option<IpAddr>,
}

impl Plan {
    /// The path that the probes of a target take to `address`, by what they send; none for lookups, which go to a resolver.
    pub(crate) fn of_probes(target: &Target, address: IpAddr, source: Option<IpAddr>) -> Option<Self> {
        let (method, port) = match &target.probe {
            ProbeKind::Icmp => (Method::Icmp, 0),
            ProbeKind::Udp { port } => (Method::Udp, *port),
            ProbeKind::Tcp { port } | ProbeKind::Https { port, .. } => (Method::Tcp, *port),
            ProbeKind::Dns => return None,
        };
        Some(Self {
            target: target.address.to_string(),
            to: SocketAddr::new(address, port),
            method,
            max_hops: 30,
            count: 3,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            source: source.filter(|source| source.is_ipv4() == address.is_ipv4()),
        })
    }
}

impl PathArgs {
    /// The plan, if the arguments make one and the host has an address.
    pub(super) async fn plan(self) -> anyhow::Result<Plan> {
        let target = self.target.clone().unwrap_or_default();
        let goal = Goal::read(&target, self.method)?;
        self.check(goal.method)?;
        let wanted = |address: &SocketAddr| {
            let families = (address.is_ipv4(), self.family, self.source.map(|source| source.is_ipv4()));
            let (v4, family, source_v4) = families;
            family.is_none_or(|family| v4 == (family == Version::V4))
                && source_v4.is_none_or(|source| source == v4)
        };
        let addresses = tokio::net::lookup_host((goal.host.as_str(), goal.port))
            .await
            .with_context(|| format!("cannot find {}", goal.host))?;
        let to = addresses.into_iter().find(wanted).with_context(|| {
            format!("{} has no address of the family that --family or --source asks for", goal.host)
        })?;
        Ok(Plan {
            target,
            to,
            method: goal.method,
            max_hops: self.max_hops,
            count: self.count,
            interval: self.interval,
            timeout: self.timeout,
            source: self.source,
        })
    }

    fn check(&self, method: Method) -> anyhow::Result<()> {
        let most = if method == Method::Tcp { SYN_RETRANSMIT } else { MAX_TIMEOUT };
        ensure!(
            !self.timeout.is_zero() && self.timeout <= most,
            "--timeout must be above zero and, with {method}, at most {}",
            humantime::format_duration(most)
        );
        ensure!(
            self.interval >= MIN_INTERVAL,
            "--interval must be at least {}: routers would not answer so often",
            humantime::format_duration(MIN_INTERVAL)
        );
        Ok(())
    }
}

/// A target as it was typed.
#[derive(Debug, PartialEq, Eq)]
struct Goal {
    host: String,
    port: u16,
    method: Method,
}

impl Goal {
    fn read(text: &str, method: Option<Method>) -> anyhow::Result<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let said = match scheme {
                    "icmp" => Method::Icmp,
                    "udp" => Method::Udp,
                    "tcp" => Method::Tcp,
                    _ => bail!("`{text}`: {scheme}:// is none of icmp://, udp:// and tcp://"),
                };
                (Some(said), rest.strip_suffix('/').unwrap_or(rest))
            }
            None => (None, text),
        };
        if let (Some(said), Some(method)) = (scheme, method) {
            ensure!(said == method, "`{text}` says {said}, but --method says {method}");
        }
        let method = scheme.or(method).unwrap_or(Method::Icmp);
        let (host, port) = split_port(rest).with_context(|| format!("`{text}` is not a target"))?;
        ensure!(!host.is_empty() && !host.contains(['/', '@', '?']), "`{text}` names no host");
        let port = match (method, port) {
            (Method::Icmp, None) => 0,
            (Method::Icmp, Some(_)) => bail!("`{text}`: ICMP has no ports; give --method udp or tcp"),
            (Method::Udp, port) => port.unwrap_or(UDP_PORT),
            (Method::Tcp, port) => port.unwrap_or(TCP_PORT),
        };
        Ok(Self { host: host.to_owned(), port, method })
    }
}

/// Splits `host:port`; an IPv6 address with a port stands in brackets, without one it may.
fn split_port(text: &str) -> anyhow::Result<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').context("what follows `]` is no port")?)),
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            Some(_) | None => (text, None),
        },
    };
    let read = |port: &str| match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        Ok(_) | Err(_) => bail!("`{port}` is not a port"),
    };
    Ok((host, port.map(read).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        path: PathArgs,
    }

    fn goal(text: &str, method: Option<Method>) -> (String, u16, Method) {
        let Goal { host, port, method } = Goal::read(text, method).unwrap();
        (host, port, method)
    }

    async fn plan(args: &str) -> anyhow::Result<Plan> {
        let args = std::iter::once("path").chain(args.split_whitespace());
        Cli::try_parse_from(args)?.path.plan().await
    }

    #[test]
    fn targets_are_read_as_people_type_them() {
        use Method::{Icmp, Tcp, Udp};
        for (text, method, expected) in [
            ("example.com", None, ("example.com", 0, Icmp)),
            ("icmp://example.com/", Some(Icmp), ("example.com", 0, Icmp)),
            ("example.com", Some(Tcp), ("example.com", 443, Tcp)),
            ("example.com:25", Some(Tcp), ("example.com", 25, Tcp)),
            ("tcp://[2001:db8::1]:80", None, ("2001:db8::1", 80, Tcp)),
            ("udp://2001:db8::1", None, ("2001:db8::1", 33_434, Udp)),
            ("udp://[2001:db8::1]", Some(Udp), ("2001:db8::1", 33_434, Udp)),
        ] {
            let (host, port, method) = goal(text, method);
            assert_eq!((host.as_str(), port, method), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, method, why) in [
            ("https://example.com", None, "https:// is none of icmp://, udp:// and tcp://"),
            ("tcp://h:1", Some(Method::Udp), "says tcp, but --method says udp"),
            ("example.com:443", None, "ICMP has no ports"),
            ("tcp://h:0", None, "`0` is not a port"),
            ("tcp://[::1]80", None, "what follows `]` is no port"),
            ("tcp://h:1/path", None, "is not a port"),
            ("", None, "names no host"),
            ("udp://user@h", None, "names no host"),
        ] {
            let error = format!("{:#}", Goal::read(text, method).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn a_plan_has_an_address_of_the_family_that_was_asked_for() {
        let plan_of = plan("tcp://127.0.0.1:80 --family v4 --count 5").await.unwrap();
        assert_eq!((plan_of.to, plan_of.count), ("127.0.0.1:80".parse().unwrap(), 5));
        for args in ["127.0.0.1 --family v6", "127.0.0.1 --source ::1"] {
            let error = plan(args).await.unwrap_err().to_string();
            assert!(error.starts_with("127.0.0.1 has no address of the family"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_told_apart_is_refused() {
        let error = plan("tcp://127.0.0.1:80 --timeout 1001ms").await.unwrap_err().to_string();
        assert_eq!(error, "--timeout must be above zero and, with tcp, at most 1s");
        assert!(plan("127.0.0.1 --timeout 2s").await.is_ok());
        assert!(
            plan("127.0.0.1 --timeout 0s").await.is_err() && plan("127.0.0.1 --interval 49ms").await.is_err()
        );
        assert!(plan("127.0.0.1 --max-hops 0").await.is_err() && plan("127.0.0.1 --count 0").await.is_err());
    }
}
