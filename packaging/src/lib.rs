//! What Peerlight ships beside its binaries. The tests hold the samples against the programs that read them.

/// The sample configuration of the agent.
pub const AGENT_SAMPLE: &str = include_str!("../config/agent.toml");
/// The same of an agent of several uplinks.
pub const UPLINKS_SAMPLE: &str = include_str!("../config/agent-uplinks.toml");
/// The sample configuration of the collector.
pub const COLLECTOR_SAMPLE: &str = include_str!("../config/collector.toml");
/// Alerts on a collector, for Prometheus.
pub const ALERTS: &str = include_str!("../prometheus/alerts.yml");

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
            Some(commented) if commented.contains(" = ") || commented.starts_with("[[") => {
                format!("{commented}\n")
            }
            _ => format!("{line}\n"),
        };
        sample.lines().map(line).collect()
    }

    #[test]
    fn the_agents_sample_is_read_as_it_stands_and_in_full() {
        AgentConfig::parse(AGENT_SAMPLE).unwrap();
        let full = AgentConfig::parse(&in_full(AGENT_SAMPLE)).unwrap();
        assert_eq!(full.spool, AgentConfig::parse(AGENT_SAMPLE).unwrap().spool);
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
    fn the_collectors_sample_is_read_as_it_stands_and_shows_the_defaults() {
        let sample = CollectorConfig::parse(COLLECTOR_SAMPLE).unwrap();
        let full = in_full(COLLECTOR_SAMPLE);
        // The certificate is only named in the sample.
        let lines: Vec<&str> = full.lines().filter(|line| !line.starts_with("tls")).collect();
        assert_eq!(CollectorConfig::parse(&lines.join("\n")).unwrap(), sample);
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
