//! What is asked of alerts: a span in which they were there, and whom they are about. Pure.

use crate::{
    alert::{Alert, AlertState, Severity, Spot},
    report::{is_same, lies_within},
};
use peerlight_proto::{duration, time::Timestamp};
use std::time::Duration;

/// The spans that are one click away.
pub(super) const SPANS: [(&str, Duration); 4] = [
    ("24h", Duration::from_hours(24)),
    ("7d", Duration::from_hours(7 * 24)),
    ("30d", Duration::from_hours(30 * 24)),
    ("a year", Duration::from_hours(366 * 24)),
];
/// The span of a page that names none.
const DEFAULT_LAST: Duration = SPANS[1].1;
/// Which states may be asked for: those of alerts, and what is not over.
pub(super) const STATES: [&str; 5] = ["open", "pending", "firing", "acknowledged", "resolved"];
pub(super) const SEVERITIES: [Severity; 2] = [Severity::Page, Severity::Ticket];

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) last: Duration,
    pub(super) state: String,
    pub(super) severity: String,
    pub(super) provider: String,
    pub(super) location: String,
    pub(super) site: String,
}

impl Default for Asked {
    fn default() -> Self {
        let none = String::new;
        Self {
            last: DEFAULT_LAST,
            state: none(),
            severity: none(),
            provider: none(),
            location: none(),
            site: none(),
        }
    }
}

impl Asked {
    /// Reads the parameters of the page, and everything that is wrong with them. `format`, and what was just done, are not of
    /// the question.
    pub(super) fn read<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, Vec<String>) {
        let (mut asked, mut faults) = (Self::default(), Vec::new());
        for (name, value) in parameters {
            let (value, shown) = (value.trim(), value.chars().take(80).collect::<String>());
            match name {
                _ if value.is_empty() => {}
                "format" | "done" => {}
                "last" => match humantime::parse_duration(value) {
                    Ok(last) if last <= SPANS[3].1 && !last.is_zero() => asked.last = last,
                    Ok(_) => faults.push("last: alerts are kept for a year; ask for at most 366d".to_owned()),
                    Err(error) => {
                        faults.push(format!("last: `{shown}` is not a length of time such as 7d: {error}"));
                    }
                },
                "state" if STATES.contains(&value) => value.clone_into(&mut asked.state),
                "state" => faults.push(format!("state: `{shown}` is none of {}", STATES.join(", "))),
                "severity" if SEVERITIES.iter().any(|known| known.name() == value) => {
                    value.clone_into(&mut asked.severity);
                }
                "severity" => faults.push(format!("severity: `{shown}` is neither page nor ticket")),
                "provider" => value.clone_into(&mut asked.provider),
                "location" => value.clone_into(&mut asked.location),
                "site" => value.clone_into(&mut asked.site),
                other => {
                    let shown: String = other.chars().take(80).collect();
                    faults.push(format!("`{shown}` is not a parameter of this page"));
                }
            }
        }
        (asked, faults)
    }

    /// The address of the question: what is not as it would be anyhow.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let named = [
            ("state", &self.state),
            ("severity", &self.severity),
            ("provider", &self.provider),
            ("location", &self.location),
            ("site", &self.site),
        ];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        let named = named.map(|(name, value)| (name, value.clone()));
        std::iter::once(("last", duration::text(self.last))).chain(named).collect()
    }

    /// Whether an alert is asked for.
    pub(super) fn wants(&self, alert: &Alert, now: Timestamp) -> bool {
        let state = match self.state.as_str() {
            "" => true,
            "open" => alert.state != AlertState::Resolved,
            name => alert.state.name() == name,
        };
        let there = alert.resolved.is_none_or(|over| over >= now.minus(self.last));
        let urgent = self.severity.is_empty() || alert.severity.name() == self.severity;
        state && there && urgent && self.is_about(alert)
    }

    /// Whether one thing that it blames, or that was found, fits everything that is named.
    fn is_about(&self, alert: &Alert) -> bool {
        let all = [("provider", &self.provider), ("location", &self.location), ("site", &self.site)];
        let asked: Vec<_> = all.into_iter().filter(|(_, name)| !name.is_empty()).collect();
        let blamed = alert.culprit.names();
        let of_culprit = |what: &str| blamed.iter().find(|(known, _)| *known == what).map(|(_, name)| *name);
        let fits = |of: &dyn Fn(&str) -> Option<String>| {
            asked.iter().all(|(what, name)| {
                of(what).is_some_and(|there| {
                    if *what == "location" { lies_within(&there, name) } else { is_same(&there, name) }
                })
            })
        };
        fits(&|what| of_culprit(what).map(str::to_owned))
            || spots(alert).any(|spot| {
                fits(&|what| {
                    let name = match what {
                        "provider" => &spot.provider,
                        "location" => &spot.location,
                        _ => &spot.site,
                    };
                    Some(name.clone())
                })
            })
    }
}

/// Where an alert was found to be bad.
pub(super) fn spots(alert: &Alert) -> impl Iterator<Item = &Spot> {
    let evidence = std::iter::once(&alert.evidence).chain(&alert.evidence_at_first);
    evidence.flat_map(|evidence| evidence.readings.iter().map(|reading| &reading.spot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::alerts::fixture::{NOW, alert};

    fn read(pairs: &[(&'static str, &'static str)]) -> (Asked, Vec<String>) {
        Asked::read(pairs.to_vec())
    }

    #[test]
    fn nothing_asks_for_a_week_and_what_is_wrong_is_said_at_once() {
        let (asked, faults) = read(&[("state", ""), ("format", "csv")]);
        assert_eq!((asked, faults), (Asked::default(), Vec::new()));
        let (_, faults) = read(&[("last", "ages"), ("state", "bad"), ("severity", "high"), ("by", "site")]);
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(read(&[("last", "400d")]).1[0].contains("at most 366d"));
    }

    #[test]
    fn an_address_asks_the_same_again() {
        let pairs = [("last", "1d"), ("state", "open"), ("provider", "A & B"), ("site", "x")];
        let (asked, _) = read(&pairs);
        let again = asked.parameters();
        assert_eq!(Asked::read(again.iter().map(|(name, value)| (*name, value.as_str()))).0, asked);
    }

    #[test]
    fn an_alert_is_asked_for_by_what_it_blames_and_by_where_it_was_found() {
        let wants = |pairs: &[(&'static str, &'static str)]| read(pairs).0.wants(&alert(1), NOW);
        assert!(wants(&[]) && wants(&[("state", "open")]) && !wants(&[("state", "resolved")]));
        assert!(wants(&[("provider", "aurora")]) && wants(&[("location", "gb")]));
        assert!(wants(&[("site", "london-1"), ("provider", "Aurora")]));
        assert!(!wants(&[("site", "london-1"), ("provider", "Borealis")]));
        assert!(wants(&[("severity", "page")]) && !wants(&[("severity", "ticket")]));
        let over = Alert {
            state: AlertState::Resolved,
            resolved: Some(NOW.minus(Duration::from_hours(48))),
            ..alert(2)
        };
        let within = |last| read(&[("last", last)]).0.wants(&over, NOW);
        assert!(within("7d") && !within("1d"));
    }
}
