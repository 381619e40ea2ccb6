//! Lives: from when an alert was first bad until it was over, as a line of time and in words. Pure.

use crate::{
    alert::{Alert, AlertState},
    dashboard::chart::{Tick, place, scale::time_ticks},
    report::render::figure::length,
    rfc3339,
};
use peerlight_proto::time::Timestamp;

/// A line of time, in its own units.
const WIDTH: f64 = 1_000.0;
/// What is shorter would not be seen.
const LEAST_WIDTH: f64 = 3.0;

/// A span of time that lines are drawn over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// A stage of a life on a line of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// How it is drawn: `pending`, `firing` or `acknowledged`.
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) title: String,
}

/// Something that happened in a life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) what: String,
}

impl Span {
    /// The marked instants, in hundredths of the width.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let ticks = time_ticks(self.from, self.to).into_iter();
        ticks.map(|(at, label)| Tick { at: place(self.share(at) * 100.0), label }).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of a span of at most a year")]
    fn share(self, at: Timestamp) -> f64 {
        let whole = self.to.as_micros().saturating_sub(self.from.as_micros()).max(1);
        (at.as_micros().saturating_sub(self.from.as_micros()) as f64 / whole as f64).clamp(0.0, 1.0)
    }
}

/// The stages of an alert's life that lie within a span which ends now.
pub(super) fn stages(alert: &Alert, span: Span) -> Vec<Stage> {
    let end = alert.resolved.unwrap_or(span.to);
    let fired = alert.fired.unwrap_or(end);
    // An acknowledgement of what nobody was told of yet changes nothing that is drawn.
    let taken = alert.acknowledged.as_ref().map_or(end, |one| one.at).clamp(fired, end.max(fired));
    let all = [("pending", alert.since, fired), ("firing", fired, taken), ("acknowledged", taken, end)];
    // What began this instant is seen, too.
    let current = match alert.state {
        AlertState::Pending => "pending",
        AlertState::Firing => "firing",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Resolved => "",
    };
    let lived =
        all.into_iter().filter(|(class, from, to)| (from < to || *class == current) && *to >= span.from);
    lived
        .map(|(class, from, to)| {
            let (left, right) = (span.share(from) * WIDTH, span.share(to) * WIDTH);
            let width = (right - left).max(LEAST_WIDTH);
            Stage {
                class,
                x: place(left.min(WIDTH - width)),
                width: place(width),
                title: format!(
                    "{class} {} to {} UTC, {}",
                    rfc3339::seconds(from),
                    rfc3339::seconds(to),
                    length(to.since(from).as_secs())
                ),
            }
        })
        .collect()
}

/// What happened, in order.
pub(super) fn steps(alert: &Alert) -> Vec<Step> {
    let step = |at, what: &str| Step { at, what: what.to_owned() };
    let mut steps = vec![step(alert.since, "first bad")];
    steps.extend(alert.fired.map(|at| step(at, "had lasted for long enough: it fires")));
    steps.extend(alert.acknowledged.as_ref().map(|one| {
        let note = if one.note.is_empty() { String::new() } else { format!(": {}", one.note) };
        Step { at: one.at, what: format!("acknowledged by {}{note}", one.by) }
    }));
    if alert.state != AlertState::Resolved {
        steps.extend(alert.good_since.map(|at| step(at, "good since; over once that has lasted")));
    }
    steps.extend(alert.resolved.map(|at| match alert.part_of {
        Some(other) => Step { at, what: format!("turned out to be part of alert {other}") },
        None => step(at, "over"),
    }));
    steps.sort_by_key(|step| step.at);
    steps
}

/// How long it has lasted.
pub(super) fn lasted(alert: &Alert, now: Timestamp) -> String {
    length(alert.resolved.unwrap_or(now).since(alert.since).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::Acknowledgement,
        dashboard::alerts::fixture::{NOW, alert},
    };
    use std::time::Duration;

    fn ago(minutes: u64) -> Timestamp {
        NOW.minus(Duration::from_mins(minutes))
    }

    fn taken() -> Alert {
        let acknowledged = Acknowledgement { by: "ann".into(), at: ago(20), note: "called them".into() };
        Alert { acknowledged: Some(acknowledged), state: AlertState::Acknowledged, ..alert(1) }
    }

    #[test]
    fn a_life_is_drawn_in_its_stages_within_the_span() {
        let hour = Span { from: ago(60), to: NOW };
        let drawn = |alert: &Alert| {
            let stages = stages(alert, hour);
            stages.into_iter().map(|stage| (stage.class, stage.x, stage.width)).collect::<Vec<_>>()
        };
        let own = |class, x: &str, width: &str| (class, x.to_owned(), width.to_owned());
        assert_eq!(
            drawn(&taken()),
            [
                own("pending", "333.3", "83.3"),
                own("firing", "416.7", "250.0"),
                own("acknowledged", "666.7", "333.3")
            ]
        );
        assert_eq!(drawn(&alert(1)), [own("pending", "333.3", "83.3"), own("firing", "416.7", "583.3")]);
        let over = Alert { resolved: Some(ago(90)), since: ago(200), fired: Some(ago(190)), ..alert(1) };
        assert_eq!(drawn(&over), []);
        // What lasted for a moment is seen.
        let short = Alert {
            state: AlertState::Resolved,
            resolved: Some(ago(0)),
            since: ago(0).minus(Duration::from_secs(1)),
            fired: None,
            ..alert(1)
        };
        assert_eq!(drawn(&short), [own("pending", "997.0", "3.0")]);
    }

    #[test]
    fn a_life_is_told_in_order() {
        let told = |alert: &Alert| steps(alert).into_iter().map(|step| step.what).collect::<Vec<_>>();
        let over = Alert { state: AlertState::Resolved, resolved: Some(ago(1)), ..taken() };
        assert_eq!(
            told(&over),
            ["first bad", "had lasted for long enough: it fires", "acknowledged by ann: called them", "over"]
        );
        let part = Alert { part_of: Some(7), ..over };
        assert_eq!(told(&part).last().unwrap(), "turned out to be part of alert 7");
        assert_eq!(lasted(&alert(1), NOW), "40m");
    }
}
