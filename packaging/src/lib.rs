//! What Peerlight ships beside its binaries. The tests hold the samples against the programs that read them.

pub mod documents;
pub mod elf;
pub mod manifest;
pub mod msi;
pub mod packages;
pub mod release;
pub mod sbom;
pub mod signing;

/// The sample configuration of the agent.
pub const AGENT_SAMPLE: &str = include_str!("../config/agent.toml");
/// The same of an agent of several uplinks.
pub const UPLINKS_SAMPLE: &str = include_str!("../config/agent-uplinks.toml");
/// The sample configuration of the collector.
pub const COLLECTOR_SAMPLE: &str = include_str!("../config/collector.toml");
/// Alerts on a collector, for Prometheus.
pub const ALERTS: &str = include_str!("../prometheus/alerts.yml");

/// A dashboard for Grafana, and the data source that it reads by.
pub const GRAFANA: [&str; 2] =
    [include_str!("../grafana/dashboard.json"), include_str!("../grafana/datasource.yml")];

#[cfg(test)]
mod units;

#[cfg(test)]
mod tests {
    use super::*;
    use peerlight_agent::config::Config as AgentConfig;
    use peerlight_collector::{
        config::Config as CollectorConfig, metrics::Metrics, store::Watch, vitals::Vitals,
    };
    use std::collections::BTreeSet;

    /// The sample with every commented line that is TOML put in.
    fn in_full(sample: &str) -> String {
        let line = |line: &str| match line.strip_prefix("# ") {
            Some(commented)
                if commented.contains(" = ") || commented.starts_with('[') && commented.ends_with(']') =>
            {
                format!("{commented}\n")
            }
            _ => format!("{line}\n"),
        };
        sample.lines().map(line).collect()
    }

    /// The sample in full, but for what is an example.
    fn without(examples: &[&str], sample: &str) -> String {
        let is_example = |line: &&str| examples.iter().any(|example| line.split(' ').next() == Some(example));
        in_full(sample).split_inclusive('\n').filter(|line| !is_example(line)).collect()
    }

    #[test]
    fn the_agents_sample_is_the_default_as_it_stands_and_all_but_its_examples_in_full() {
        assert_eq!(AgentConfig::parse(AGENT_SAMPLE).unwrap(), AgentConfig::default());
        AgentConfig::parse(&in_full(AGENT_SAMPLE)).unwrap();
        let rest = in_full(AGENT_SAMPLE);
        let (before, site) = rest.split_once("[site]").unwrap();
        let (_site, after) = site.split_once("\n\n").unwrap();
        let (middle, target) = after.split_once("[[target]]").unwrap();
        let (_target, end) = target.split_once("\n\n").unwrap();
        let examples = [
            "url",
            "use",
            "username",
            "password_file",
            "bypass",
            "source_v4",
            "source_v6",
            "interface",
            "dscp",
            "servers",
            "ca_file",
            "allow",
        ];
        let defaults = without(&examples, &format!("{before}\n{middle}\n{end}"));
        assert_eq!(AgentConfig::parse(&defaults).unwrap(), AgentConfig::default(), "{defaults}");
        assert!(defaults.matches(" = ").count() >= 10, "{defaults}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_sample_of_several_uplinks_is_read_as_it_stands_and_in_full() {
        let full = AgentConfig::parse(&in_full(UPLINKS_SAMPLE)).unwrap();
        let sample = AgentConfig::parse(UPLINKS_SAMPLE).unwrap();
        assert_eq!(full.uplink_names(), ["london-1-fibre", "london-1-mobile"]);
        assert_eq!(sample.uplinks[1], full.uplinks[1]);
    }

    #[test]
    fn the_collectors_sample_is_the_default_as_it_stands_and_all_but_its_examples_in_full() {
        assert_eq!(CollectorConfig::parse(COLLECTOR_SAMPLE).unwrap(), CollectorConfig::default());
        let defaults = without(&["url", "tls"], COLLECTOR_SAMPLE);
        assert_eq!(CollectorConfig::parse(&defaults).unwrap(), CollectorConfig::default(), "{defaults}");
        assert!(defaults.matches(" = ").count() >= 15, "{defaults}");
    }

    #[test]
    fn the_collectors_examples_can_be_taken_as_they_are() {
        let examples = COLLECTOR_SAMPLE.lines().map(|line| line.strip_prefix("## ").unwrap_or(line));
        let examples = CollectorConfig::parse(&examples.collect::<Vec<_>>().join("\n")).unwrap();
        let oidc = examples.operators.oidc.unwrap();
        assert_eq!(oidc.scopes, ["openid", "profile", "email"], "the default, as the sample says");
        assert_eq!((oidc.administrators.len(), oidc.readers.len()), (1, 1));
        assert_eq!(examples.alerts.receivers(), ["pager", "alertmanager", "noc"]);
    }

    #[test]
    fn the_job_of_every_dependency_is_told() {
        let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
        let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
        let architecture = include_str!("../../ARCHITECTURE.md");
        let (_, list) = architecture.split_once("## Dependencies").unwrap();
        let (list, _) = list.split_once("\n## ").unwrap();
        let told: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
        let untold = dependencies
            .keys()
            .filter(|name| !name.starts_with("peerlight-") && !told.contains(name.as_str()));
        assert_eq!(untold.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    /// What looks like the name of one of the collector's metrics.
    fn names(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|name| name.starts_with("peerlight_collector_"))
            .collect()
    }

    #[test]
    fn every_alert_is_on_a_metric_that_the_collector_has() {
        let metrics = Metrics::of(&Watch::default());
        metrics.problem("urn:peerlight:problem:clock-skew");
        metrics.connection_faults().limit("agents", 1);
        let _open = metrics.connection_faults().opened("agents");
        let vitals = Vitals { dropped: [("spool_full".to_owned(), 1)].into(), ..Vitals::default() };
        let text = metrics.render(&vitals);
        let (known, used) = (names(&text), names(ALERTS));
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty() && used.len() > 10, "{unknown:?} of {used:?}");
        assert_eq!(ALERTS.matches("- alert: ").count(), ALERTS.matches("expr: ").count());
        assert_eq!(ALERTS.matches("- alert: ").count(), ALERTS.matches("summary: ").count());
    }
}
