//! The rules that hold until an operator sets others.

use super::{Percentile, Rule, RuleKind, Scope, Severity};
use peerlight_proto::metric::Metric;
use std::time::Duration;

const FIVE_MINUTES: Duration = Duration::from_mins(5);
const QUARTER_HOUR: Duration = Duration::from_mins(15);
/// What every agent sends often, and what tells by itself whether a target answers.
const ECHOES_AND_CONNECTS: [Metric; 2] = [Metric::IcmpRtt, Metric::TcpConnect];

/// One rule of each kind. Loss and interception page; the rest waits until the morning.
pub fn defaults() -> Vec<Rule> {
    vec![loss(), latency(), silence(), coverage(), off_prefix(), interception(), edge_shift()]
}

fn rule(name: &str, kind: RuleKind, metrics: &[Metric], (threshold, clear): (f64, f64)) -> Rule {
    Rule {
        name: name.to_owned(),
        kind,
        metrics: metrics.iter().copied().collect(),
        percentile: None,
        threshold,
        clear,
        min_samples: 20,
        window: QUARTER_HOUR,
        lasting: FIVE_MINUTES,
        severity: Severity::Ticket,
        scope: Scope::default(),
    }
}

fn loss() -> Rule {
    Rule {
        window: FIVE_MINUTES,
        severity: Severity::Page,
        ..rule("loss", RuleKind::Loss, &ECHOES_AND_CONNECTS, (0.05, 0.02))
    }
}

fn latency() -> Rule {
    Rule {
        percentile: Some(Percentile::P95),
        min_samples: 60,
        lasting: QUARTER_HOUR,
        ..rule("latency", RuleKind::Percentile, &[Metric::TcpConnect], (250.0, 200.0))
    }
}

fn silence() -> Rule {
    rule("silence", RuleKind::Silence, &ECHOES_AND_CONNECTS, (0.0, 0.0))
}

fn coverage() -> Rule {
    Rule {
        window: Duration::from_hours(1),
        lasting: QUARTER_HOUR,
        ..rule("coverage", RuleKind::Coverage, &ECHOES_AND_CONNECTS, (0.8, 0.9))
    }
}

fn off_prefix() -> Rule {
    rule("off-prefix", RuleKind::OffPrefix, &ECHOES_AND_CONNECTS, (0.5, 0.1))
}

fn interception() -> Rule {
    Rule {
        min_samples: 10,
        severity: Severity::Page,
        ..rule("interception", RuleKind::Issuer, &[Metric::HttpsTtfb], (0.1, 0.01))
    }
}

fn edge_shift() -> Rule {
    Rule {
        window: Duration::from_mins(30),
        lasting: QUARTER_HOUR,
        ..rule("edge-shift", RuleKind::EdgeShift, &[Metric::HttpsTtfb], (0.5, 0.2))
    }
}
