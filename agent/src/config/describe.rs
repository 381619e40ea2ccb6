//! What a configuration will do: the answer of `check-config`, in words or as JSON.

use super::{
    Config,
    proxy::{self, ProxyDescription},
};
use crate::{
    catalogue::{self, ENTRIES},
    probe::{Dscp, IcmpEngine, ProbeSettings},
    targets::ScheduledTarget,
    trust::CollectorTrust,
    uplink::Way,
};
use comfy_table::{Table, presets};
use peerlight_proto::{duration, enrolment::SiteAssertion};
use serde::Serialize;
use std::fmt::Write as _;

/// What the agent will do with a configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// None where the enrolment names it.
    site: Option<SiteAssertion>,
    /// The sites that are measured side by side; empty for the one of `site`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uplinks: Vec<UplinkDescription>,
    /// Where batches go; none where the enrolment names it.
    collector: Option<String>,
    trust: CollectorTrust,
    /// Whether the collector is told when the program is removed.
    retire_on_removal: bool,
    proxy: ProxyDescription,
    families: Vec<&'static str>,
    icmp_engine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dscp: Option<Dscp>,
    timeout_ms: u128,
    deadline_ms: u128,
    /// How long one measurement lasts.
    interval_s: u32,
    /// Whether the path to a target that turns bad is captured.
    capture_paths: bool,
    spool: SpoolDescription,
    /// The networks in which the ceilings are widened.
    allow: Vec<String>,
    /// What is measured unless the collector assigns something.
    source: Source,
    packets_per_second: f64,
    targets: Vec<PlannedTarget>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct UplinkDescription {
    name: String,
    families: Vec<&'static str>,
    /// How its probes leave, in words.
    departure: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct SpoolDescription {
    directory: String,
    max_bytes: u64,
    max_age_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Configuration,
    /// The built-in one: nothing is configured.
    Catalogue,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct PlannedTarget {
    name: String,
    service: String,
    address: String,
    probe: String,
    interval_ms: u128,
    /// Why the catalogue has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Description {
    /// What the agent will do with this configuration.
    pub fn of(config: &Config) -> Self {
        let settings = &config.probing.settings;
        let (source, targets) = match config.targets.as_slice() {
            [] => (Source::Catalogue, catalogue::scheduled()),
            configured => (Source::Configuration, configured.to_vec()),
        };
        Self {
            site: config.site.clone(),
            uplinks: config.ways().iter().filter_map(uplink).collect(),
            collector: config.collector.url.as_ref().map(ToString::to_string),
            trust: config.collector.trust,
            retire_on_removal: config.collector.retire_on_removal,
            proxy: ProxyDescription::of(&config.proxy),
            families: config.probing.families.iter().map(|family| family.as_str()).collect(),
            icmp_engine: match settings.icmp_engine {
                IcmpEngine::Native => "native",
                IcmpEngine::Portable => "portable",
            },
            interface: settings.interface.as_ref().map(ToString::to_string),
            dscp: settings.dscp,
            timeout_ms: settings.timeout.as_millis(),
            deadline_ms: settings.deadline.as_millis(),
            interval_s: config.probing.interval.as_secs(),
            capture_paths: config.probing.capture_paths,
            spool: SpoolDescription {
                directory: config.state.spool().display().to_string(),
                max_bytes: config.spool.max_bytes,
                max_age_s: config.spool.max_age.as_secs(),
            },
            allow: config.limits.allow.iter().map(ToString::to_string).collect(),
            source,
            packets_per_second: config.packets_per_second(&targets),
            targets: targets.iter().map(|scheduled| planned(scheduled, source)).collect(),
        }
    }
}

fn uplink(way: &Way) -> Option<UplinkDescription> {
    let families = way.families.iter().map(|family| family.as_str()).collect();
    Some(UplinkDescription { name: way.uplink.clone()?, families, departure: departure(&way.settings) })
}

fn planned(scheduled: &ScheduledTarget, source: Source) -> PlannedTarget {
    let target = &scheduled.target;
    let entry = ENTRIES.iter().find(|entry| source == Source::Catalogue && entry.name == target.name);
    PlannedTarget {
        name: target.name.clone(),
        service: target.service.clone(),
        address: target.address.to_string(),
        probe: target.probe.to_string(),
        interval_ms: scheduled.interval.as_millis(),
        reason: entry.map(|entry| entry.reason),
    }
}

/// Says in words what the agent will do with this configuration.
pub fn describe(config: &Config) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{words}");
    };
    for way in config.ways() {
        if let (Some(name), Some(departure)) = (&way.uplink, departure(&way.settings)) {
            let families: Vec<_> = way.families.iter().map(|family| family.as_str()).collect();
            line(format!("Measures for {name} over {}: {departure}.", families.join(" and ")));
        }
    }
    match &config.site {
        _ if !config.uplinks.is_empty() => {}
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
    if !config.collector.retire_on_removal {
        line("Tells the collector nothing when the program is removed.".to_owned());
    }
    proxy::describe(&config.proxy).into_iter().for_each(&mut line);
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
    if let Some(departure) = departure(&probing.settings).filter(|_| config.uplinks.is_empty()) {
        line(format!("Probes leave {departure}."));
    }
    line(if probing.capture_paths {
        "Captures the path to a target that turns bad: `peerlight-agent path --captured`.".to_owned()
    } else {
        "Captures no paths.".to_owned()
    });
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
    text.push_str(&targets(config));
    text
}

/// How probes leave, where that is not the system's choice.
fn departure(settings: &ProbeSettings) -> Option<String> {
    let ProbeSettings { source_v4, source_v6, interface, dscp, .. } = settings;
    let ways = [
        source_v4.map(|address| format!("from {address}")),
        source_v6.map(|address| format!("from {address}")),
        interface.as_ref().map(|interface| format!("by the interface {interface}")),
        dscp.map(|dscp| format!("marked with the DSCP {dscp}")),
    ];
    let ways: Vec<_> = ways.into_iter().flatten().collect();
    (!ways.is_empty()).then(|| ways.join(", "))
}

fn targets(config: &Config) -> String {
    if config.targets.is_empty() {
        let rate = config.packets_per_second(&catalogue::scheduled());
        return format!(
            "Configures no targets: measures what the collector assigns, else the built-in Microsoft catalogue (`peerlight-agent catalogue`), about {rate:.1} packets a second.\n"
        );
    }
    let rate = config.packets_per_second(&config.targets);
    format!(
        "Measures these targets, about {rate:.1} packets a second, and what the collector assigns:\n\n{}\n",
        table(config)
    )
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
