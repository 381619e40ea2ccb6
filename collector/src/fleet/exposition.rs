//! Agents in the text format of Prometheus. Pure.
//!
//! Samples of a metric must stand together, so that each metric is written by itself while the agents go by once.

use crate::{prometheus_text::escaped, registry::AgentEntry};
use std::fmt::Write as _;

/// What is told of each agent: the metric, what it means, and its value if there is one.
type Told = (&'static str, &'static str, fn(&AgentEntry) -> Option<f64>);

const METRICS: [Told; 9] = [
    ("last_seen_timestamp_seconds", "When the agent was last heard of", |agent| {
        agent.last_seen.map(|at| seconds(at.as_micros()))
    }),
    ("clock_offset_seconds", "The collector's clock minus the agent's", |agent| {
        agent.clock_offset_us.map(seconds)
    }),
    ("unhealthy", "1 if an operator should look into it", |agent| Some(flag(!agent.state.is_empty()))),
    ("behind", "1 if its version is older than the collector's", |agent| Some(flag(agent.behind))),
    ("spooled_batches", "Batches that wait on its disk", |agent| {
        agent.health.as_ref().map(|health| number(health.spooled_batches))
    }),
    ("dropped_batches", "Batches that its spool had to drop or set aside, since it was made", |agent| {
        agent.health.as_ref().map(|health| number(health.dropped_batches + health.corrupt_batches))
    }),
    ("noise_p99_seconds", "How late its probes left in its newest interval, 99th percentile", |agent| {
        agent.health.as_ref()?.noise_p99_us.map(|us| number(us) / 1e6)
    }),
    ("problems", "What it says is wrong on its machine", |agent| {
        agent.health.as_ref().map(|health| number(health.problems.len() as u64))
    }),
    ("target_set", "The target set that it measures by; 0 for its own targets", |agent| {
        agent.health.as_ref()?.held_set.map(f64::from)
    }),
];

/// Agents, as they are told so far.
#[derive(Debug, Default)]
pub struct Exposition {
    told: [String; METRICS.len()],
    info: String,
}

impl Exposition {
    /// Tells of an agent.
    pub fn add(&mut self, agent: &AgentEntry) {
        let labels = format!("agent=\"{}\",site=\"{}\"", agent.agent, escaped(&agent.site));
        for ((name, _help, value), told) in METRICS.iter().zip(&mut self.told) {
            if let Some(value) = value(agent) {
                // Writing to a String cannot fail.
                let _infallible = writeln!(told, "peerlight_agent_{name}{{{labels}}} {value}");
            }
        }
        let _infallible = writeln!(
            self.info,
            "peerlight_agent_info{{{labels},version=\"{}\",provider=\"{}\",location=\"{}\"}} 1",
            escaped(&agent.version),
            escaped(&agent.provider),
            escaped(&agent.location)
        );
    }

    /// The whole text.
    pub fn finish(self) -> String {
        let mut text = String::from(
            "# TYPE peerlight_agent info\n# HELP peerlight_agent Where it is, and what it runs.\n",
        );
        text.push_str(&self.info);
        for ((name, help, _value), told) in METRICS.iter().zip(&self.told) {
            let _infallible = write!(
                text,
                "# TYPE peerlight_agent_{name} gauge\n# HELP peerlight_agent_{name} {help}.\n{told}"
            );
        }
        text.push_str("# EOF\n");
        text
    }
}

/// Microseconds as seconds: whole microseconds of this century are exact.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

const fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::AgentHealth, report::fixture::agent_entry};
    use peerlight_proto::id::AgentId;

    #[test]
    fn each_metric_stands_together_and_no_name_breaks_out() {
        let health = AgentHealth { noise_p99_us: Some(1_500), held_set: Some(7), ..AgentHealth::default() };
        let mut exposition = Exposition::default();
        let silent = AgentEntry { site: "a \"b\" \\".to_owned(), ..agent_entry(AgentId::new([1; 16])) };
        let well = AgentEntry {
            health: Some(health),
            clock_offset_us: Some(-1_500_000),
            ..agent_entry(AgentId::new([2; 16]))
        };
        exposition.add(&AgentEntry { state: vec!["never seen".to_owned()], ..silent });
        exposition.add(&well);
        insta::assert_snapshot!(exposition.finish());
    }
}
