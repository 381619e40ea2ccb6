//! What is wrong with a set of rules, each with what to write instead.

use super::{Rule, RuleKind};
use peerlight_proto::{duration, metric::Metric};
use std::{collections::BTreeSet, time::Duration};

/// The most rules of a set: each is judged every minute.
const MAX_RULES: usize = 100;
/// The longest name.
const MAX_NAME_BYTES: usize = 64;
/// The longest window, and the longest that anything has to last.
const DAY: Duration = Duration::from_hours(24);

/// Everything that is wrong with these rules; nothing where they can be used.
pub fn faults(rules: &[Rule]) -> Vec<String> {
    let mut faults = Vec::new();
    if rules.len() > MAX_RULES {
        faults.push(format!("there are {} rules; at most {MAX_RULES} can be judged", rules.len()));
    }
    let mut names = BTreeSet::new();
    for rule in rules {
        if !names.insert(rule.name.as_str()) {
            faults.push(format!("two rules are called `{}`; give each a name of its own", rule.name));
        }
        let mut wrong = Vec::new();
        check(rule, &mut wrong);
        faults.extend(wrong.into_iter().map(|fault| format!("rule `{}`: {fault}", rule.name)));
    }
    faults
}

fn check(rule: &Rule, wrong: &mut Vec<String>) {
    let letters = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if rule.name.is_empty() || rule.name.len() > MAX_NAME_BYTES || !letters(&rule.name) {
        wrong.push(format!("a name has 1 to {MAX_NAME_BYTES} letters, digits, - and _"));
    }
    if rule.metrics.is_empty() {
        wrong.push("metrics is empty; name at least one, such as tcp.connect".to_owned());
    }
    if rule.metrics.iter().any(|metric| matches!(metric, Metric::Jitter(_) | Metric::AgentNoise)) {
        wrong.push(
            "metrics: jitters and agent.noise are of no probe by itself; name what they are of".to_owned(),
        );
    }
    values(rule, wrong);
    match (rule.kind, rule.percentile) {
        (RuleKind::Percentile, None) => {
            wrong.push("a percentile is missing: p50, p90, p95 or p99".to_owned());
        }
        (RuleKind::Percentile, Some(percentile)) if rule.min_samples < percentile.enough() => {
            wrong.push(format!(
                "min_samples {} is below the {} that a {} takes",
                rule.min_samples,
                percentile.enough(),
                percentile.name()
            ));
        }
        (RuleKind::Percentile, Some(_)) | (_, None) => {}
        (kind, Some(_)) => wrong.push(format!("`percentile` means nothing to the kind `{}`", kind.name())),
    }
    if rule.min_samples == 0 {
        wrong.push("min_samples must be above zero: of nothing nothing can be said".to_owned());
    }
    let whole = rule.window.subsec_nanos() == 0 && rule.window.as_secs() > 0;
    if !whole || !DAY.as_secs().is_multiple_of(rule.window.as_secs().max(1)) {
        wrong.push(format!(
            "window {} does not divide a day; write 5m, 15m, 1h …",
            duration::text(rule.window)
        ));
    }
    if rule.lasting > DAY {
        wrong.push(format!("for {} is longer than a day", duration::text(rule.lasting)));
    }
}

fn values(rule: &Rule, wrong: &mut Vec<String>) {
    let (threshold, clear) = (rule.threshold, rule.clear);
    match rule.kind {
        RuleKind::Silence if threshold != 0.0 || clear != 0.0 => {
            wrong
                .push("silence has no threshold; min_samples says how many turns must be missing".to_owned());
        }
        RuleKind::Silence => {}
        RuleKind::Percentile => {
            if !(threshold > 0.0 && threshold.is_finite()) {
                wrong.push(format!("threshold {threshold} must be milliseconds above zero"));
            }
            if !(0.0..=threshold).contains(&clear) {
                wrong.push(format!("clear {clear} must lie from 0 to threshold"));
            }
        }
        RuleKind::Coverage => {
            if !(0.0..=1.0).contains(&threshold) || !(threshold..=1.0).contains(&clear) {
                wrong.push(format!(
                    "coverage takes 0 <= threshold <= clear <= 1, not {threshold} and {clear}"
                ));
            }
        }
        RuleKind::Loss | RuleKind::OffPrefix | RuleKind::Issuer | RuleKind::EdgeShift => {
            if !(0.0..1.0).contains(&threshold) || !(0.0..=threshold).contains(&clear) {
                wrong.push(format!("a share takes 0 <= clear <= threshold < 1, not {clear} and {threshold}"));
            }
        }
    }
}
