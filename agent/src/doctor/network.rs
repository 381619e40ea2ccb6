//! The network around: names, the proxy, the system's authorities, and Microsoft's endpoints.

use super::check::Check;
use crate::{
    catalogue,
    config::Config,
    credential::Enrolment,
    exchange::parse_address,
    proxy::{HttpsPaths, Proxies, Proxy},
    trust,
};
use futures::future::join_all;
use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    time::Instant,
};
use url::{Host, Url};

/// How long a look-up or a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A look-up that takes longer is slow.
const SLOW: Duration = Duration::from_secs(1);
/// The port of HTTPS.
const HTTPS: u16 = 443;

/// What a step came to, and how long it took.
pub(super) async fn timed<T>(step: impl Future<Output = io::Result<T>>) -> (Result<T, String>, Duration) {
    let began = Instant::now();
    let outcome = match tokio::time::timeout(PATIENCE, step).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {PATIENCE:?}")),
    };
    (outcome, began.elapsed())
}

/// The addresses of a host.
pub(super) async fn resolve(host: &str, port: u16) -> (Result<Vec<SocketAddr>, String>, Duration) {
    timed(async { Ok(lookup_host((host, port)).await?.collect()) }).await
}

/// Whether names can be looked up: the collector's, and one of Microsoft's.
pub(super) async fn names(config: &Config) -> Vec<Check> {
    let collector = collector_of(config);
    let name = collector.as_ref().and_then(Url::host).and_then(|host| match host {
        Host::Domain(name) => Some(name.to_owned()),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    });
    let microsoft = catalogue::ENTRIES.first().map(|entry| entry.address.to_owned());
    let names = name.into_iter().chain(microsoft).collect::<Vec<_>>();
    join_all(names.iter().map(|name| look_up(name))).await
}

async fn look_up(host: &str) -> Check {
    let name = format!("name {host}");
    let (outcome, took) = resolve(host, HTTPS).await;
    match outcome {
        Ok(addresses) if addresses.is_empty() => {
            Check::failed(&name, "has no address", "ask who keeps this name")
        }
        Ok(addresses) => {
            let found = format!("{} addresses within {} ms", addresses.len(), took.as_millis());
            if took > SLOW {
                Check::warning(
                    &name,
                    found,
                    "see the DNS servers of this machine (`resolvectl status`): they are slow",
                )
            } else {
                Check::ok(&name, found)
            }
        }
        Err(error) => Check::failed(
            &name,
            error,
            "see the DNS servers of this machine (/etc/resolv.conf, `resolvectl status`) and whether port 53 is open to them",
        ),
    }
}

/// The collector that the agent is enrolled with, or the configured one.
pub(super) fn collector_of(config: &Config) -> Option<Url> {
    let enrolled = Enrolment::load(&config.state).ok().flatten();
    let address = enrolled.and_then(|enrolment| parse_address(&enrolment.collector).ok());
    address.or_else(|| config.collector.url.clone())
}

/// Whether the proxy that stands before the collector, if there is one, takes connections.
pub(super) async fn proxy(config: &Config) -> Result<(Proxies, Check), Check> {
    const NAME: &str = "proxy";
    let proxies = config
        .proxy
        .open()
        .map_err(|error| Check::failed(NAME, error.to_string(), "correct [proxy], or the environment"))?;
    let before = collector_of(config).and_then(|url| {
        proxies.of(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(HTTPS))
    });
    let check = match before {
        None => Check::ok(NAME, "none stands before the collector"),
        Some(proxy) => connect_to(&proxy).await,
    };
    Ok((proxies, check))
}

async fn connect_to(proxy: &Proxy) -> Check {
    const NAME: &str = "proxy";
    let (outcome, took) = timed(TcpStream::connect((proxy.host.as_str(), proxy.port))).await;
    match outcome {
        Ok(_connection) => {
            Check::ok(NAME, format!("{proxy} took a connection within {} ms", took.as_millis()))
        }
        Err(error) => Check::failed(
            NAME,
            format!("{proxy}: {error}"),
            "see whether it runs and whether this machine may use it; [proxy] use = \"none\" goes without",
        ),
    }
}

/// Whether the system's certification authorities can be read: HTTPS targets are judged by them.
pub(super) fn authorities() -> Check {
    const NAME: &str = "TLS authorities";
    match trust::platform() {
        Ok(_config) => Check::ok(NAME, "the system's can be read"),
        Err(error) => Check::failed(NAME, error.to_string(), "install the package ca-certificates"),
    }
}

/// Whether Microsoft's endpoints take connections.
pub(super) async fn catalogue(config: &Config) -> Check {
    let hosts: BTreeSet<&str> = catalogue::ENTRIES
        .iter()
        .filter(|entry| entry.probes.contains(&"https"))
        .map(|entry| entry.address)
        .collect();
    let through = config.proxy.probe == HttpsPaths::Proxy;
    let reached = join_all(hosts.iter().map(|host| async move {
        let (outcome, _took) = timed(TcpStream::connect((*host, HTTPS))).await;
        (*host, outcome.map(drop))
    }));
    let unreached: Vec<(&str, String)> =
        reached.await.into_iter().filter_map(|(host, outcome)| Some((host, outcome.err()?))).collect();
    judge_catalogue(hosts.len(), &unreached, through)
}

/// What it means that some of these hosts cannot be reached directly. Pure.
fn judge_catalogue(hosts: usize, unreached: &[(&str, String)], through_proxy: bool) -> Check {
    const NAME: &str = "catalogue";
    let reached = hosts.saturating_sub(unreached.len());
    let mut found = format!("{reached} of {hosts} Microsoft endpoints took a connection on port 443");
    if let Some((host, error)) = unreached.first() {
        found = format!("{found}; {host}: {error}");
    }
    if unreached.is_empty() || through_proxy {
        Check::ok(NAME, found)
    } else if reached == 0 {
        Check::failed(
            NAME,
            found,
            "let this machine out on port 443, or probe through the site's proxy ([proxy] probe = \"proxy\")",
        )
    } else {
        Check::warning(
            NAME,
            found,
            "see whether a firewall holds these back; otherwise it is what the agent will report",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Outcome, *};

    #[test]
    fn a_site_that_is_shut_in_is_told_from_an_endpoint_that_is_down() {
        let down = |hosts: &[&'static str]| {
            hosts.iter().map(|host| (*host, "refused".to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(judge_catalogue(2, &[], false).outcome, Outcome::Ok);
        let one = judge_catalogue(2, &down(&["a.example"]), false);
        assert_eq!(one.outcome, Outcome::Warning);
        assert!(one.found.contains("1 of 2") && one.found.contains("a.example: refused"), "{one:?}");
        assert_eq!(judge_catalogue(2, &down(&["a.example", "b.example"]), false).outcome, Outcome::Failed);
        assert_eq!(judge_catalogue(2, &down(&["a.example", "b.example"]), true).outcome, Outcome::Ok);
    }

    #[tokio::test]
    async fn a_proxy_that_takes_no_connection_is_named() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let gone: Proxy = format!("http://127.0.0.1:{port}").parse().unwrap();
        let check = connect_to(&gone).await;
        assert_eq!(check.outcome, Outcome::Failed);
        assert!(check.found.starts_with(&format!("127.0.0.1:{port}: ")), "{check:?}");
    }

    #[tokio::test]
    async fn a_name_that_nobody_keeps_fails_with_where_to_look() {
        let check = look_up("peerlight.invalid").await;
        assert_eq!(check.outcome, Outcome::Failed);
        assert!(check.advice.unwrap().contains("DNS servers"));
    }
}
