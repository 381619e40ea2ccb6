//! The checks: from what stands in the file to a configuration, or to all that is wrong with it. Pure.

use super::{CollectorConfig, Config, Probing, departure, proxy, raw, uplinks};
use crate::{
    exchange::parse_address,
    paths::{StateDir, default_state},
    probe::{Expectations, IcmpEngine, ProbeSettings, Trust},
    proxy::Proxies,
    spool::SpoolSettings,
    targets::{Ceilings, MAX_TARGETS, ScheduledTarget, default_interval},
    trace,
};
use ipnet::IpNet;
use peerlight_proto::{
    duration,
    enrolment::SiteAssertion,
    limits::{MAX_DEADLINE, MAX_TEXT_BYTES},
    series::Family,
    target::{Host, Target},
    time::IntervalLength,
};
use std::{
    collections::BTreeMap,
    fmt::Display,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// The smallest spool that is of use: a batch or two.
const MIN_SPOOL_BYTES: u64 = 4 << 20;
const DNS_PORT: u16 = 53;

/// Checks everything and reports all that failed.
pub(super) fn check(file: raw::File) -> Result<Config, Vec<String>> {
    let mut problems = Problems(Vec::new());
    let limits = limits(&file.limits, &mut problems);
    let probing = probing(&file, &limits, &mut problems);
    let uplinks = uplinks::check(&file, &probing.families, probing.settings.icmp_engine, &mut problems);
    let config = Config {
        uplinks,
        site: file.site.map(|site| check_site(site, &mut problems)),
        collector: collector(&file.collector, &mut problems),
        proxy: proxy::check(&file.proxy, &mut problems),
        targets: targets(&file.target, &limits, &mut problems),
        spool: spool(&file.spool, &mut problems),
        state: StateDir::new(file.state.unwrap_or_else(default_state)),
        probing,
        limits,
        dropped_token: None,
    };
    let rate = config.packets_per_second(&config.targets);
    if rate > f64::from(config.limits.max_packets_per_second) {
        problems.add(
            "target",
            format!(
                "all targets together send about {rate:.0} packets a second, over [limits] max_packets_per_second = {}; lengthen intervals",
                config.limits.max_packets_per_second
            ),
        );
    }
    if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
}

/// All that is wrong, each with its key.
pub(super) struct Problems(Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, key: impl Display, problem: impl Display) {
        self.0.push(format!("{key}: {problem}"));
    }

    pub(super) fn check<T, E: Display>(&mut self, key: impl Display, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.add(key, error)).ok()
    }

    pub(super) fn text(&mut self, key: impl Display, text: &str, may_be_empty: bool) {
        if text.trim().is_empty() && !may_be_empty {
            self.add(key, "must not be empty");
        } else if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
            self.add(key, format!("must be at most {MAX_TEXT_BYTES} bytes without control characters"));
        }
    }
}

fn check_site(site: raw::Site, problems: &mut Problems) -> SiteAssertion {
    problems.text("site.name", &site.name, false);
    problems.text("site.provider", &site.provider, false);
    check_location("site.location", &site.location, problems);
    check_prefixes("site.prefixes", &site.prefixes, problems);
    SiteAssertion {
        name: site.name,
        provider: site.provider,
        location: site.location,
        prefixes: site.prefixes,
    }
}

/// Whether it can be a code of ISO 3166-2.
pub(super) fn check_location(key: impl Display, location: &str, problems: &mut Problems) {
    let subdivision = location.split_once('-').is_some_and(|(country, place)| {
        country.len() == 2
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && (1..=3).contains(&place.len())
            && place.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    if !subdivision {
        problems.add(key, format!("`{location}` is not an ISO 3166-2 code such as GB-LND"));
    }
}

/// Whether they are prefixes, as they are written.
pub(super) fn check_prefixes(key: &str, prefixes: &[String], problems: &mut Problems) {
    for prefix in prefixes {
        if let Some(net) = problems.check(key, network(prefix))
            && net.trunc() != net
        {
            problems.add(key, format!("{prefix} has host bits set; write {}", net.trunc()));
        }
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_malformed| format!("`{text}` is not a prefix such as 192.0.2.0/24"))
}

fn collector(raw: &raw::Collector, problems: &mut Problems) -> CollectorConfig {
    let url = raw.url.as_deref().and_then(|url| problems.check("collector.url", parse_address(url)));
    CollectorConfig { url, trust: raw.trust, retire_on_removal: raw.retire_on_removal }
}

fn limits(raw: &raw::Limits, problems: &mut Problems) -> Ceilings {
    let allow = raw
        .allow
        .iter()
        .filter_map(|prefix| problems.check("limits.allow", network(prefix)))
        .map(|net| net.trunc())
        .collect();
    let rate = raw.max_packets_per_second.unwrap_or(Ceilings::DEFAULT_PACKETS_PER_SECOND);
    let ceilings = Ceilings { allow, max_packets_per_second: rate };
    // More is for the allowed networks: what is sent elsewhere is bound by each target's own ceiling.
    if rate == 0 || (rate > Ceilings::MAX_PACKETS_PER_SECOND && !ceilings.widened()) {
        problems.add(
            "limits.max_packets_per_second",
            format!("must be 1 to {}", Ceilings::MAX_PACKETS_PER_SECOND),
        );
    }
    ceilings
}

fn probing(file: &raw::File, limits: &Ceilings, problems: &mut Problems) -> Probing {
    let raw = &file.probing;
    let timeout = raw.timeout.map_or(ProbeSettings::DEFAULT_TIMEOUT, |human| human.0);
    let deadline = raw.deadline.map_or(ProbeSettings::DEFAULT_DEADLINE, |human| human.0);
    if timeout.is_zero() || deadline < timeout || deadline > MAX_DEADLINE {
        problems.add(
            "probing",
            format!(
                "timeout must be above 0 and at most the deadline, and that at most {}s",
                MAX_DEADLINE.as_secs()
            ),
        );
    }
    let families = match &raw.families {
        None => Family::ALL.to_vec(),
        Some(names) => {
            let mut families: Vec<Family> = names
                .iter()
                .filter_map(|name| {
                    let known =
                        Family::from_name(name).ok_or_else(|| format!("`{name}` is neither v4 nor v6"));
                    problems.check("probing.families", known)
                })
                .collect();
            families.sort_unstable();
            families.dedup();
            if names.is_empty() {
                problems.add("probing.families", "names no family; leave it out for both");
            }
            families
        }
    };
    let length = raw.interval.map_or(Ok(IntervalLength::MINUTE), |human| interval_length(human.0));
    let servers = file.resolver.servers.iter();
    let icmp_engine = match raw.icmp_engine {
        raw::Engine::Native => IcmpEngine::Native,
        raw::Engine::Portable => IcmpEngine::Portable,
    };
    Probing {
        settings: ProbeSettings {
            source_v4: raw.source_v4,
            source_v6: raw.source_v6,
            interface: departure::interface("probing.interface", raw.interface.as_ref(), problems),
            dscp: departure::dscp("probing.dscp", raw.dscp.as_ref(), icmp_engine, problems),
            timeout,
            deadline,
            icmp_engine,
            dns_servers: servers
                .filter_map(|server| problems.check("resolver.servers", dns_server(server)))
                .collect(),
            trust: file.https.ca_file.clone().map_or(Trust::Platform, Trust::File),
            allow: limits.allow.clone(),
            expected: Expectations { issuers: issuers(&file.target, problems), ..Expectations::default() },
            // The environment is read when the agent starts.
            proxies: Proxies::default(),
        },
        families,
        interval: problems.check("probing.interval", length).unwrap_or(IntervalLength::MINUTE),
        capture_paths: raw.capture_paths.unwrap_or(true) && trace::WORKS_HERE,
    }
}

fn interval_length(span: Duration) -> Result<IntervalLength, String> {
    let seconds = u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    if span.subsec_nanos() != 0 {
        return Err("must be whole seconds".to_owned());
    }
    IntervalLength::from_secs(seconds).map_err(|error| error.to_string())
}

fn dns_server(text: &str) -> Result<SocketAddr, String> {
    text.parse::<SocketAddr>()
        .or_else(|_no_port| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)))
        .map_err(|_malformed| format!("`{text}` is not an address such as 192.0.2.53 or [2001:db8::53]:53"))
}

fn targets(raw: &[raw::Target], limits: &Ceilings, problems: &mut Problems) -> Vec<ScheduledTarget> {
    let mut targets: Vec<ScheduledTarget> = Vec::new();
    for target in raw {
        for target in one_target(target, limits, problems) {
            if !targets.iter().any(|known| known.target.id() == target.target.id()) {
                targets.push(target);
            }
        }
    }
    if targets.len() > MAX_TARGETS {
        problems
            .add("target", format!("{} probes are configured; at most {MAX_TARGETS} may be", targets.len()));
    }
    targets
}

fn one_target(raw: &raw::Target, limits: &Ceilings, problems: &mut Problems) -> Vec<ScheduledTarget> {
    let key = format!("target `{}`", raw.name);
    problems.text(&key, &raw.name, false);
    problems.text(format!("{key}.service"), &raw.service, true);
    if raw.probes.is_empty() {
        problems.add(&key, "has no probes; write for example probes = [\"icmp\", \"tcp:443\", \"https\"]");
    }
    let address = problems.check(&key, raw.address.parse());
    let probes: Vec<_> = raw.probes.iter().filter_map(|probe| problems.check(&key, probe.parse())).collect();
    let Some(address) = address else { return Vec::new() };
    let wanted = raw.interval.map(|human| human.0);
    // One interval serves probes of several kinds; those that may not be so frequent are as frequent as they may.
    let least = probes.iter().map(|probe| limits.shortest_interval(&address, probe)).min();
    if let (Some(wanted), Some(least)) = (wanted, least)
        && wanted < least
    {
        let least = duration::text(least);
        problems.add(&key, format!("interval must be at least {least} for these probes"));
    }
    let mut targets = Vec::new();
    for probe in probes {
        if let Some(port) = probe.port()
            && !limits.may_reach(&address, port)
        {
            problems.add(
                &key,
                format!(
                    "port {port} may not be probed: an agent is not a scanner; [limits] allow widens this"
                ),
            );
        }
        let interval =
            wanted.unwrap_or(default_interval(&probe)).max(limits.shortest_interval(&address, &probe));
        let target = Target {
            name: raw.name.clone(),
            service: raw.service.clone(),
            address: Clone::clone(&address),
            probe,
        };
        targets.push(ScheduledTarget { target, interval });
    }
    targets
}

/// Whose certificates the targets have; a host has one issuer, however many targets it is.
fn issuers(raw: &[raw::Target], problems: &mut Problems) -> BTreeMap<Host, String> {
    let mut issuers = BTreeMap::new();
    for target in raw {
        // An address that is none is told where the target is read.
        let (Some(issuer), Ok(host)) = (&target.issuer, target.address.parse::<Host>()) else { continue };
        let key = format!("target `{}`.issuer", target.name);
        problems.text(&key, issuer, false);
        let issuer = issuer.trim().to_owned();
        let other = issuers.insert(host, issuer.clone()).filter(|other| *other != issuer);
        if let Some(other) = other {
            problems.add(&key, format!("{} has the issuer `{other}` in another [[target]]", target.address));
        }
    }
    issuers
}

fn spool(raw: &raw::Spool, problems: &mut Problems) -> SpoolSettings {
    let max_bytes = raw.max_bytes.map_or(SpoolSettings::DEFAULT_MAX_BYTES, |bytes| bytes.0);
    let max_age = raw.max_age.map_or(SpoolSettings::DEFAULT_MAX_AGE, |human| human.0);
    if max_bytes < MIN_SPOOL_BYTES {
        problems.add("spool.max_bytes", "must be at least 4MiB");
    }
    if max_age < Duration::from_hours(1) || max_age > SpoolSettings::DEFAULT_MAX_AGE {
        problems.add("spool.max_age", "must be 1h to 14d: a collector refuses older batches");
    }
    SpoolSettings { max_bytes, max_age }
}
