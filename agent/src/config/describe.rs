//! What a configuration will do, in words: the answer of `check-config`.

use super::Config;
use crate::{probe::IcmpEngine, trust::CollectorTrust};
use comfy_table::{Table, presets};
use peerlight_proto::duration;
use std::fmt::Write as _;

/// Says what the agent will do with this configuration.
pub fn describe(config: &Config) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{words}");
    };
    match &config.site {
        Some(site) => line(format!("Measures for {} of {} in {}.", site.name, site.provider, site.location)),
        None => line("Measures for the site that the enrolment names.".to_owned()),
    }
    let trust = match config.collector.trust {
        CollectorTrust::Pinned => "the CA that the enrolment token names",
        CollectorTrust::Platform => "what the operating system trusts",
    };
    match &config.collector.url {
        Some(url) => line(format!("Pushes to {url}, recognised by {trust}.")),
        None => line(format!("Pushes to the collector that the enrolment names, recognised by {trust}.")),
    }
    let probing = &config.probing;
    let families: Vec<_> = probing.families.iter().map(|family| family.as_str()).collect();
    let engine = match probing.settings.icmp_engine {
        IcmpEngine::Native => "the native ICMP engine",
        IcmpEngine::Portable => "the portable ICMP engine",
    };
    line(format!(
        "Probes over {} with {engine}: answered within {}, late until {}; one measurement per {} s.",
        families.join(" and "),
        duration::text(probing.settings.timeout),
        duration::text(probing.settings.deadline),
        probing.interval.as_secs(),
    ));
    line(format!(
        "Keeps up to {} MiB and {} of batches in {}.",
        config.spool.max_bytes >> 20,
        duration::text(config.spool.max_age),
        config.state.spool().display(),
    ));
    if config.limits.widened() {
        let nets: Vec<_> = config.limits.allow.iter().map(ToString::to_string).collect();
        line(format!(
            "Because [limits] allow names {}, intervals may be as short as 10 ms and any port may be probed there; elsewhere the ceilings stay.",
            nets.join(", ")
        ));
    }
    for (host, issuer) in &probing.settings.expected.issuers {
        line(format!(
            "Believes {host} only with a certificate of {issuer}: any other refuses its HTTPS probes."
        ));
    }
    if config.targets.is_empty() {
        line("Configures no targets: measures what the collector assigns, else the built-in Microsoft catalogue.".to_owned());
        return text;
    }
    let rate = config.limits.packets_per_second(&config.targets, probing.families.len());
    line(format!(
        "Measures these targets, about {rate:.1} packets a second, and what the collector assigns:\n"
    ));
    text.push_str(&table(config));
    text.push('\n');
    text
}

fn table(config: &Config) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["name", "service", "address", "probe", "every"]);
    for scheduled in &config.targets {
        let target = &scheduled.target;
        table.add_row([
            target.name.clone(),
            target.service.clone(),
            target.address.to_string(),
            target.probe.to_string(),
            duration::text(scheduled.interval),
        ]);
    }
    table.trim_fmt()
}
