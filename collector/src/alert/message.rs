//! Words: what people read of an alert.

use super::{Alert, Event, EventKind, Reading, Rule, RuleKind};
use crate::{
    report::render::figure::{ms, percent},
    rfc3339,
};
use peerlight_proto::duration;
use std::{collections::BTreeMap, fmt::Write as _};

/// How many readings are told in words.
const TOLD: usize = 5;

/// What is wrong, in a line: who is to blame, and the gravest reading.
pub(super) fn summary(alert: &Alert, rules: &[Rule]) -> String {
    let evidence = &alert.evidence;
    let worst = evidence.readings.first();
    let what = worst.map_or_else(
        || "nothing is known".to_owned(),
        |worst| {
            let rule = rules.iter().find(|rule| rule.name == worst.rule);
            rule.map_or_else(|| worst.rule.clone(), |rule| finding(rule, worst))
        },
    );
    match evidence.site_count {
        0 | 1 => format!("{}: {what}", alert.culprit),
        sites => format!("{}: {what} at the worst of {sites} sites", alert.culprit),
    }
}

/// What a rule found, in words.
fn finding(rule: &Rule, reading: &Reading) -> String {
    let share = || percent(reading.value.unwrap_or(1.0));
    match rule.kind {
        RuleKind::Percentile => {
            let name = rule.percentile.map_or("percentile", super::Percentile::name);
            match reading.value {
                Some(value) => format!("{} {name} {} ms", reading.metric, ms(value)),
                None => format!("{} {name} is lost", reading.metric),
            }
        }
        RuleKind::Loss => format!("{} of {} lost", share(), reading.metric),
        RuleKind::Coverage => format!("{} of {} measured", share(), reading.metric),
        RuleKind::Silence => "nothing is measured".to_owned(),
        RuleKind::OffPrefix => format!("{} of probes left by another network", share()),
        RuleKind::Issuer => format!("{} of requests were answered by somebody else", share()),
        RuleKind::EdgeShift => format!("{} of requests moved to other front doors", share()),
    }
}

/// What receivers route an alert by that begins to fire.
pub(super) fn labels(alert: &Alert) -> BTreeMap<String, String> {
    let rule = alert.evidence.readings.first().map_or("peerlight", |reading| reading.rule.as_str());
    let mut labels = BTreeMap::from([
        ("alertname".to_owned(), format!("peerlight-{rule}")),
        ("alert_id".to_owned(), alert.key()),
        ("severity".to_owned(), alert.severity.name().to_owned()),
    ]);
    labels.extend(alert.culprit.names().into_iter().map(|(what, name)| (what.to_owned(), name.to_owned())));
    labels
}

/// The subject of a mail, and the title of whatever has one.
pub fn title(event: &Event) -> String {
    let (alert, severity) = (&event.alert, event.alert.severity);
    match event.kind {
        EventKind::Firing => format!("[{severity}] {}", alert.summary),
        EventKind::Updated => format!("[{severity}, updated] {}", alert.summary),
        EventKind::Resolved => format!("[resolved] {}", alert.summary),
    }
}

/// Everything that somebody who is woken by it needs, as plain text. `base` is where the operators' listener is reached.
pub fn text(event: &Event, base: Option<&url::Url>) -> String {
    let (alert, mut text) = (&event.alert, String::new());
    let mut line = |words: String| {
        let _ = writeln!(text, "{words}");
    };
    line(alert.summary.clone());
    line(String::new());
    line(format!("To blame: {}", alert.culprit));
    for vote in &alert.evidence.votes {
        line(format!("  {vote}"));
    }
    line(format!("State: {}, since {}{}", alert.state, rfc3339::seconds(alert.since), times(alert)));
    if let Some(other) = alert.part_of {
        line(format!("It turned out to be part of alert {other}, which goes on."));
    }
    let evidence = &alert.evidence;
    line(format!(
        "Affected: {} sites ({}), {} targets ({})",
        evidence.site_count,
        listed(&evidence.sites),
        evidence.target_count,
        listed(&evidence.targets)
    ));
    line(String::new());
    line(format!("As of {}, found by {}:", rfc3339::seconds(evidence.at), joined(alert.rules.iter())));
    for reading in evidence.readings.iter().take(TOLD) {
        line(format!("  {}", told(reading)));
    }
    let more = evidence.readings.len().saturating_sub(TOLD);
    if more > 0 {
        line(format!("  and {more} more"));
    }
    line(String::new());
    line(format!("Report: {}", link(base, &evidence.report)));
    line(format!("Alert {}: peerlight-collector alert show {}", alert.id, alert.id));
    text
}

/// A reading with its samples and span.
fn told(reading: &Reading) -> String {
    let value = reading.value.map_or_else(|| "lost".to_owned(), figure);
    let detail = reading.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!(
        "{} {} at {} towards {}: {value}{detail}, {} samples in {} from {}",
        reading.rule,
        reading.metric,
        reading.spot.site,
        reading.spot.target,
        reading.samples,
        duration::text(reading.to.since(reading.from)),
        rfc3339::seconds(reading.from)
    )
}

/// What was found, in the unit of its rule where that is still known.
pub(crate) fn value(reading: &Reading, rules: &[Rule]) -> String {
    let Some(value) = reading.value else { return "lost".to_owned() };
    match rules.iter().find(|rule| rule.name == reading.rule).map(|rule| rule.kind) {
        Some(RuleKind::Percentile) => format!("{} ms", ms(value)),
        Some(RuleKind::Silence) => "nothing".to_owned(),
        Some(_) => percent(value),
        None => figure(value),
    }
}

/// A value whose unit is its rule's: shares to four places, milliseconds to one.
fn figure(value: f64) -> String {
    if value > 1.0 { format!("{value:.1}") } else { format!("{value:.4}") }
}

fn times(alert: &Alert) -> String {
    let at = |what: &str, instant: Option<_>| {
        instant.map(|instant| format!(", {what} {}", rfc3339::seconds(instant))).unwrap_or_default()
    };
    let acknowledged = alert.acknowledged.as_ref().map(|one| format!(", acknowledged by {}", one.by));
    format!(
        "{}{}{}",
        at("fired", alert.fired),
        acknowledged.unwrap_or_default(),
        at("resolved", alert.resolved)
    )
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = joined(names.iter().take(SHOWN));
    if names.len() > SHOWN { format!("{shown}, …") } else { shown }
}

fn joined<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A path of the operators' listener as a link where it is known how that is reached.
pub fn link(base: Option<&url::Url>, path: &str) -> String {
    let joined = base.and_then(|base| base.join(path).ok());
    joined.map_or_else(|| path.to_owned(), String::from)
}
