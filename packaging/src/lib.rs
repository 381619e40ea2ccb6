//! What Peerlight ships beside its binaries. The tests hold the samples against the programs that read them.

/// The sample configuration of the agent.
pub const AGENT_SAMPLE: &str = include_str!("../config/agent.toml");
/// The sample configuration of the collector.
pub const COLLECTOR_SAMPLE: &str = include_str!("../config/collector.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use peerlight_agent::config::Config as AgentConfig;
    use peerlight_collector::config::Config as CollectorConfig;

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
    fn the_collectors_sample_is_read_as_it_stands_and_shows_the_defaults() {
        let sample = CollectorConfig::parse(COLLECTOR_SAMPLE).unwrap();
        let full = in_full(COLLECTOR_SAMPLE);
        // The certificate is only named in the sample.
        let lines: Vec<&str> = full.lines().filter(|line| !line.starts_with("tls")).collect();
        assert_eq!(CollectorConfig::parse(&lines.join("\n")).unwrap(), sample);
    }
}
