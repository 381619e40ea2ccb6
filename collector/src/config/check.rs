//! The rules between settings, each a sentence that says what to change.

use super::{Agents, Config, Keys, Limits, Operators, Retention, oidc};
use peerlight_proto::duration;
use std::time::Duration;

/// What the minute retention must exceed the acceptance horizon by, so that what arrives late is still rolled up.
const ROLL_UP_MARGIN: Duration = Duration::from_hours(48);

/// Agents look every few hours whether their key is due; a shorter life could end in between.
const SHORTEST_KEY_LIFETIME: Duration = Duration::from_hours(24);
/// Longer spans than a hundred years are slips of the pen.
const LONGEST_KEY_SPAN: Duration = Duration::from_hours(100 * 8_766);

/// Every rule that the configuration breaks.
pub(super) fn faults(config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    agents(&config.agents, &mut faults);
    operators(&config.operators, &mut faults);
    oidc::faults(config, &mut faults);
    retention(&config.retention, &mut faults);
    limits(&config.limits, &mut faults);
    keys(&config.keys, &mut faults);
    config.alerts.faults(&mut faults);
    if config.store.directory.as_os_str().is_empty() {
        faults.push("[store] directory is empty; name the directory to keep everything in".into());
    }
    faults
}

fn agents(agents: &Agents, faults: &mut Vec<String>) {
    if let Some(url) = &agents.url {
        if url.scheme() != "https" || url.host_str().is_none() {
            faults.push(format!("[agents] url `{url}` is not of the form https://host:port"));
        } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            faults.push(format!("[agents] url `{url}` has a path; give scheme, host and port only"));
        }
    }
    if agents.proxy_protocol && agents.trusted_proxies.is_empty() {
        faults.push(
            "[agents] proxy_protocol is on and trusted_proxies is empty; name the proxies' addresses there"
                .into(),
        );
    }
}

fn operators(operators: &Operators, faults: &mut Vec<String>) {
    if operators.tls.is_none() && !operators.listen.ip().is_loopback() {
        faults.push(format!(
            "[operators] listen {} can be reached from other machines and [operators.tls] is absent; \
             listen on 127.0.0.1 or give certificate and key",
            operators.listen
        ));
    }
    for host in &operators.hosts {
        if url::Host::parse(host).is_err() {
            faults.push(format!(
                "[operators] hosts: `{host}` is not a host name; leave scheme, port and path out"
            ));
        }
    }
}

fn retention(retention: &Retention, faults: &mut Vec<String>) {
    if retention.minute < retention.acceptance_horizon.saturating_add(ROLL_UP_MARGIN) {
        faults.push(format!(
            "[retention] acceptance_horizon {} must be at most minute ({}) minus 2 days; lower the one or raise the other",
            duration::text(retention.acceptance_horizon),
            duration::text(retention.minute),
        ));
    }
    if retention.quarter_hour < retention.minute || retention.day < retention.quarter_hour {
        faults.push(
            "[retention] coarser resolutions must live as long as finer ones: minute <= quarter_hour <= day"
                .into(),
        );
    }
    if retention.acceptance_horizon.is_zero() {
        faults.push("[retention] acceptance_horizon must be above zero".into());
    }
}

fn limits(limits: &Limits, faults: &mut Vec<String>) {
    let named = [
        ("requests_per_minute", limits.requests_per_minute),
        ("burst", limits.burst),
        ("measurements_per_day", limits.measurements_per_day),
        ("sessions_per_day", limits.sessions_per_day),
        ("series_per_day", limits.series_per_day),
        ("attributes_per_day", limits.attributes_per_day),
        ("attempts_per_minute", limits.attempts_per_minute),
        ("pushes", limits.pushes),
        ("connections", limits.connections),
    ];
    for (name, value) in named {
        if value == 0 {
            faults.push(format!("[limits] {name} must be above zero"));
        }
    }
}

fn keys(keys: &Keys, faults: &mut Vec<String>) {
    if !(SHORTEST_KEY_LIFETIME..=LONGEST_KEY_SPAN).contains(&keys.lifetime) {
        faults.push(format!(
            "[keys] lifetime {} must be from {} to 100 years",
            duration::text(keys.lifetime),
            duration::text(SHORTEST_KEY_LIFETIME)
        ));
    }
    if keys.grace > LONGEST_KEY_SPAN {
        faults.push("[keys] grace must be at most 100 years".into());
    }
}
