//! Alerts, maintenance windows and rules as tables, for pages and as CSV. Pure.

use super::life::{Span, Stage, lasted, stages};
use crate::{
    alert::{Alert, AlertState, Maintenance, Reading, Rule, RuleKind, message},
    dashboard::{
        frame::View,
        list::{Cell, List, numbers, times, words},
        table::NONE,
    },
    report::render::figure,
    rfc3339,
};
use peerlight_proto::{duration, time::Timestamp};

/// An alert as the page lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u64,
    /// How it is dressed: the name of its state.
    pub(super) class: &'static str,
    pub(super) mark: &'static str,
    pub(super) state: String,
    pub(super) severity: &'static str,
    pub(super) summary: String,
    pub(super) culprit: String,
    pub(super) votes: Vec<String>,
    pub(super) stages: Vec<Stage>,
    pub(super) since: String,
    pub(super) fired: String,
    pub(super) over: String,
    pub(super) lasted: String,
    pub(super) affected: String,
    pub(super) notes: Vec<String>,
}

pub(super) fn row(alert: &Alert, span: Span, now: Timestamp) -> Row {
    Row {
        id: alert.id,
        class: alert.state.name(),
        mark: mark(alert),
        state: alert.state.to_string(),
        severity: alert.severity.name(),
        summary: alert.summary.clone(),
        culprit: alert.culprit.to_string(),
        votes: alert.evidence.votes.iter().map(ToString::to_string).collect(),
        stages: stages(alert, span),
        since: rfc3339::seconds(alert.since),
        fired: or_none(alert.fired),
        over: or_none(alert.resolved),
        lasted: lasted(alert, now),
        affected: affected(alert),
        notes: notes(alert, now),
    }
}

/// The shape that says the state to those who do not see its colour.
pub(super) const fn mark(alert: &Alert) -> &'static str {
    match alert.state {
        AlertState::Firing => "●",
        AlertState::Acknowledged => "◐",
        AlertState::Pending => "○",
        AlertState::Resolved => "✓",
    }
}

fn or_none(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NONE.to_owned(), rfc3339::seconds)
}

fn affected(alert: &Alert) -> String {
    let count = |many: u64, what: &str| format!("{many} {what}{}", if many == 1 { "" } else { "s" });
    format!("{}, {}", count(alert.evidence.site_count, "site"), count(alert.evidence.target_count, "target"))
}

/// What operators said, and what is to be known besides.
pub(super) fn notes(alert: &Alert, now: Timestamp) -> Vec<String> {
    let acknowledged = alert.acknowledged.as_ref().map(|one| {
        let note = if one.note.is_empty() { String::new() } else { format!(": {}", one.note) };
        format!("{} looks after it{note}", one.by)
    });
    let silenced = alert
        .silenced_until
        .filter(|until| *until > now && alert.state != AlertState::Resolved)
        .map(|until| format!("silenced until {}", rfc3339::seconds(until)));
    let untold = (alert.fired.is_some() && !alert.told).then(|| "receivers were not told".to_owned());
    let part = alert.part_of.map(|other| format!("part of alert {other}"));
    acknowledged.into_iter().chain(silenced).chain(untold).chain(part).collect()
}

/// Alerts as a file: everything that the page says of each.
pub(super) fn alerts_list(alerts: &[&Alert], now: Timestamp) -> List {
    let line = |alert: &&Alert| {
        let rules: Vec<_> = alert.rules.iter().cloned().collect();
        let votes: Vec<_> = alert.evidence.votes.iter().map(ToString::to_string).collect();
        [
            alert.id.to_string(),
            alert.state.to_string(),
            alert.severity.name().to_owned(),
            alert.summary.clone(),
            alert.culprit.to_string(),
            votes.join("; "),
            rules.join(", "),
            rfc3339::seconds(alert.since),
            alert.fired.map(rfc3339::seconds).unwrap_or_default(),
            alert.resolved.map(rfc3339::seconds).unwrap_or_default(),
            alert.resolved.unwrap_or(now).since(alert.since).as_secs().to_string(),
            alert.evidence.site_count.to_string(),
            alert.evidence.target_count.to_string(),
            notes(alert, now).join("; "),
        ]
        .map(Cell::of)
        .into()
    };
    List {
        id: "alerts",
        columns: vec![
            numbers("alert"),
            words("state"),
            words("severity"),
            words("what"),
            words("to blame"),
            words("votes"),
            words("rules"),
            words("since"),
            words("fired"),
            words("over"),
            numbers("lasted_seconds"),
            numbers("sites"),
            numbers("targets"),
            words("notes"),
        ],
        rows: alerts.iter().map(line).collect(),
        ..List::default()
    }
}

/// The maintenance windows that are not over, as a file.
pub(super) fn maintenance_list(windows: &[Maintenance], now: Timestamp) -> List {
    let line = |window: &Maintenance| {
        vec![
            Cell::of(window.scope.to_string()),
            Cell::of(if window.from <= now { "now" } else { "to come" }),
            Cell::of(rfc3339::seconds(window.from)),
            Cell::of(rfc3339::seconds(window.to)),
            Cell::of(&window.reason),
            Cell::of(&window.created_by),
            Cell::of(window.id.to_string()),
        ]
    };
    List {
        id: "maintenance",
        columns: vec![
            words("where"),
            words("when"),
            words("from"),
            words("to"),
            words("what for"),
            words("by"),
            numbers("window"),
        ],
        rows: windows.iter().map(line).collect(),
        ..List::default()
    }
}

/// The rules in force.
pub(super) fn rules_list(rules: &[Rule]) -> List {
    let line = |rule: &Rule| {
        let metrics: Vec<_> = rule.metrics.iter().map(ToString::to_string).collect();
        vec![
            Cell::of(&rule.name),
            Cell::of(kind(rule)),
            Cell::of(metrics.join(", ")),
            Cell::of(limit(rule, rule.threshold)),
            Cell::of(limit(rule, rule.clear)),
            Cell::of(rule.min_samples.to_string()),
            Cell::of(duration::text(rule.window)),
            Cell::of(duration::text(rule.lasting)),
            Cell::of(rule.severity.name()),
            Cell::of(rule.scope.to_string()),
        ]
    };
    List {
        id: "rules",
        title: "Rules in force",
        note: "peerlight-collector alert rules export and apply change them".to_owned(),
        csv: format!("{}?format=rules", View::Alerts.path()),
        empty: "No rule is in force: nothing is looked for.".to_owned(),
        columns: vec![
            words("rule"),
            words("looks at"),
            words("metrics"),
            numbers("bad from"),
            numbers("good again at"),
            numbers("least samples"),
            words("window"),
            words("for"),
            words("severity"),
            words("where"),
        ],
        rows: rules.iter().map(line).collect(),
    }
}

fn kind(rule: &Rule) -> String {
    let name = rule.kind.name().replace('_', " ");
    rule.percentile.map_or(name, |percentile| percentile.name().to_owned())
}

fn limit(rule: &Rule, value: f64) -> String {
    match rule.kind {
        RuleKind::Percentile => format!("{} ms", figure::ms(value)),
        RuleKind::Silence => NONE.to_owned(),
        RuleKind::Coverage => format!("below {}", figure::percent(value)),
        RuleKind::Loss | RuleKind::OffPrefix | RuleKind::Issuer | RuleKind::EdgeShift => {
            figure::percent(value)
        }
    }
}

/// Readings: what was found, by which rule, where.
pub(super) fn readings_list(readings: &[Reading], rules: &[Rule]) -> List {
    let line = |reading: &Reading| {
        let spot = &reading.spot;
        let detail = reading.detail.clone().unwrap_or_default();
        vec![
            Cell::of(message::value(reading, rules)).beside(detail),
            Cell::of(reading.metric.to_string()),
            Cell::of(&spot.site).to(
                View::Series.path(),
                &[
                    ("from", &rfc3339::seconds(reading.from)),
                    ("to", &rfc3339::seconds(reading.to)),
                    ("metric", &reading.metric.to_string()),
                    ("site", &spot.site),
                    ("target", &spot.target),
                ],
            ),
            Cell::of(&spot.provider).beside(&spot.location),
            Cell::of(&spot.target),
            Cell::of(reading.samples.to_string()),
            Cell::of(rfc3339::seconds(reading.from)),
            Cell::of(rfc3339::seconds(reading.to)),
            Cell::of(&reading.rule),
        ]
    };
    List {
        columns: vec![
            words("found"),
            words("metric"),
            words("site"),
            words("provider, location"),
            words("target"),
            numbers("samples"),
            times("from"),
            times("to"),
            words("rule"),
        ],
        rows: readings.iter().map(line).collect(),
        ..List::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::{Acknowledgement, defaults},
        dashboard::alerts::fixture::{NOW, alert},
    };
    use std::time::Duration;

    #[test]
    fn what_operators_said_stands_beside_an_alert_as_long_as_it_matters() {
        let later = NOW.plus(Duration::from_mins(5));
        let acknowledged = Acknowledgement { by: "ann".into(), at: NOW, note: "called them".into() };
        let said = Alert {
            acknowledged: Some(acknowledged),
            silenced_until: Some(later),
            told: false,
            part_of: Some(3),
            ..alert(1)
        };
        assert_eq!(
            notes(&said, NOW),
            [
                "ann looks after it: called them",
                "silenced until 2026-09-21T14:18:20Z",
                "receivers were not told",
                "part of alert 3"
            ]
        );
        assert_eq!(notes(&said, later).len(), 3, "the silence is over");
        assert_eq!(notes(&alert(1), NOW), [""; 0]);
    }

    #[test]
    fn rules_say_their_limits_in_their_own_units() {
        let list = rules_list(&defaults());
        let limits: Vec<_> =
            list.rows.iter().map(|row| (row[1].text.as_str(), row[3].text.as_str())).collect();
        assert!(limits.contains(&("loss", "5.0%")), "{limits:?}");
        assert!(limits.iter().any(|(kind, limit)| *kind == "silence" && *limit == NONE), "{limits:?}");
        assert!(limits.iter().any(|(kind, limit)| *kind == "p95" && limit.ends_with(" ms")), "{limits:?}");
    }

    #[test]
    fn a_reading_says_its_value_in_the_unit_of_its_rule() {
        let list = readings_list(&alert(1).evidence.readings, &defaults());
        assert_eq!(list.rows[0][0].text, "100.0%");
        assert!(list.rows[0][2].href.contains("site=london-1&target=teams"), "{}", list.rows[0][2].href);
    }
}
