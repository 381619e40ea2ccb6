//! What is wrong now: alerts that fire, outages, losses, what got slower, and agents that need somebody. Pure.

use super::grid::MATTERING_LOSS;
use crate::{
    alert::{Alert, Severity},
    dashboard::{
        about::ago,
        frame::{View, address},
    },
    registry::AgentEntry,
    report::{
        ON_ITS_WAY, Question, Report, ReportRow,
        availability::AvailabilityReport,
        compare::Threshold,
        render::figure::{self, length},
    },
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use std::{fmt::Write as _, time::Duration};

/// What is called now: long enough for a median of one agent's probes, short enough to be news.
pub(crate) const RECENT: Duration = Duration::from_mins(15);
/// How many agents are named.
const MAX_NAMED: usize = 5;

/// What is wrong, the gravest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) worries: Vec<Worry>,
    /// What was looked for in vain, if nothing is wrong.
    pub(crate) well: String,
    /// What could not be found out.
    pub(crate) unknown: Vec<String>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Worry {
    /// Whether nothing works there, rather than badly.
    pub(crate) grave: bool,
    pub(crate) what: String,
    pub(crate) detail: String,
    pub(crate) href: String,
    /// At which location, if it is at one.
    pub(crate) location: Option<String>,
}

/// What it is found in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// What the page asks.
    pub(crate) question: &'a Question,
    /// By location and provider over the page's span.
    pub(crate) usual: &'a Report,
    /// The same of [`RECENT`].
    pub(crate) recent: &'a Report,
    /// Outages, or why nobody knows of any.
    pub(crate) outages: Result<&'a AvailabilityReport, &'a String>,
    /// The alerts that fire, whether or not somebody looks after them.
    pub(crate) alerts: &'a [Alert],
    /// Agents of the sites that are asked for, if the registry answers.
    pub(crate) agents: Option<&'a [AgentEntry]>,
    pub(crate) now: Timestamp,
}

/// What is wrong now.
pub(crate) fn worries(evidence: &Evidence<'_>) -> Now {
    let mut worries: Vec<_> = evidence.alerts.iter().map(fires).collect();
    let mut unknown = Vec::new();
    match evidence.outages {
        Ok(report) => worries.extend(outages(evidence, report)),
        Err(why) => unknown.push(format!("{why}.")),
    }
    worries.extend(stale(evidence));
    worries.extend(evidence.recent.rows.iter().filter_map(|row| lossy(evidence, row)));
    worries.extend(evidence.recent.rows.iter().filter_map(|row| slower(evidence, row)));
    let mut well =
        "No alert, no outage, no loss that matters, nothing slower than usual in the last 15 minutes"
            .to_owned();
    if let Some(agents) = evidence.agents {
        worries.extend(unwell(agents));
        let all = agents.len();
        let _ = if all == 1 {
            write!(well, "; the one agent is well.")
        } else {
            write!(well, "; all {all} agents are well.")
        };
    } else {
        unknown.push("The registry does not answer, so that nothing is known of agents.".to_owned());
        well.push('.');
    }
    worries.sort_by_key(|worry| !worry.grave);
    Now { worries, well, unknown }
}

fn fires(alert: &Alert) -> Worry {
    let since = rfc3339::seconds(alert.since);
    let of = |what: &str| alert.culprit.names().into_iter().find(|(known, _)| *known == what);
    Worry {
        grave: alert.severity == Severity::Page,
        what: alert.summary.clone(),
        detail: match &alert.acknowledged {
            Some(one) => format!("since {since}; {} looks after it", one.by),
            None => format!("since {since}"),
        },
        href: format!("{}/{}", View::Alerts.path(), alert.id),
        location: of("location").map(|(_, name)| name.to_owned()),
    }
}

fn outages<'a>(
    evidence: &'a Evidence<'_>,
    report: &'a AvailabilityReport,
) -> impl Iterator<Item = Worry> + 'a {
    let ongoing = report
        .rows
        .iter()
        .flat_map(|row| row.outages.iter().filter(|outage| outage.ongoing).map(move |outage| (row, outage)));
    ongoing.map(|(row, outage)| {
        let start = if outage.start_known { "" } else { " or earlier" };
        Worry {
            grave: true,
            what: format!("{}: no answer to {}", row.group.label(&report.question.by), row.metric),
            detail: format!(
                "since {}{start} ({}), of {} of {} agents",
                rfc3339::seconds(outage.from),
                length(outage.seconds),
                outage.agents_affected,
                outage.agents_measuring
            ),
            href: href(
                View::Availability,
                evidence.question,
                row.group.provider.as_deref(),
                row.group.location.as_deref(),
            ),
            location: row.group.location.clone(),
        }
    })
}

/// Nothing has come for longer than it takes.
fn stale(evidence: &Evidence<'_>) -> Option<Worry> {
    let until = evidence.usual.measured_until?;
    (evidence.now.since(until) > ON_ITS_WAY).then(|| Worry {
        grave: true,
        what: "Nothing is being measured".to_owned(),
        detail: format!("of what is shown here: the newest figure is of {}", ago(until, evidence.now)),
        href: View::Sites.path().to_owned(),
        location: None,
    })
}

fn lossy(evidence: &Evidence<'_>, row: &ReportRow) -> Option<Worry> {
    let loss = row.loss.filter(|loss| loss.low >= MATTERING_LOSS)?;
    Some(Worry {
        grave: false,
        what: format!("{} loses {}", label(evidence, row), figure::percent(loss.value)),
        detail: format!(
            "of its probes ({} to {}) in the last 15 minutes",
            figure::percent(loss.low),
            figure::percent(loss.high)
        ),
        href: of_row(evidence, row),
        location: row.group.location.clone(),
    })
}

/// Slower than over the whole span, by what matters in comparisons: both thresholds, and the whole interval.
fn slower(evidence: &Evidence<'_>, row: &ReportRow) -> Option<Worry> {
    let usual = evidence.usual.rows.iter().find(|usual| usual.group == row.group)?.latency_ms.p50?;
    let Threshold { ms, percent } = Threshold::default();
    let least = ms.unwrap_or_default().max(percent.unwrap_or_default() / 100.0 * usual);
    let low = row.latency_interval_ms.p50.and_then(|bounds| bounds.low)?;
    let p50 = row.latency_ms.p50.filter(|_| low >= usual + least)?;
    Some(Worry {
        grave: false,
        what: format!("{} is slower than usual", label(evidence, row)),
        detail: format!(
            "p50 {} ms in the last 15 minutes, {} ms over the span",
            figure::ms(p50),
            figure::ms(usual)
        ),
        href: of_row(evidence, row),
        location: row.group.location.clone(),
    })
}

fn unwell(agents: &[AgentEntry]) -> Option<Worry> {
    let unwell: Vec<_> = agents.iter().filter(|agent| !agent.state.is_empty()).collect();
    let first =
        unwell.iter().take(MAX_NAMED).map(|agent| format!("{}: {}", agent.site, agent.state.join(", ")));
    let more = unwell.len().saturating_sub(MAX_NAMED);
    let more = (more > 0).then(|| format!("{more} more"));
    (!unwell.is_empty()).then(|| Worry {
        grave: false,
        what: match unwell.len() {
            1 => "An agent needs somebody".to_owned(),
            many => format!("{many} agents need somebody"),
        },
        detail: first.chain(more).collect::<Vec<_>>().join("; "),
        href: format!("{}?unhealthy=true", View::Sites.path()),
        location: None,
    })
}

fn label(evidence: &Evidence<'_>, row: &ReportRow) -> String {
    row.group.label(&evidence.question.by)
}

fn of_row(evidence: &Evidence<'_>, row: &ReportRow) -> String {
    href(View::Series, evidence.question, row.group.provider.as_deref(), row.group.location.as_deref())
}

/// A page on a provider at a location, over the last hour.
fn href(view: View, question: &Question, provider: Option<&str>, location: Option<&str>) -> String {
    let metrics = question.metrics.iter().map(|metric| ("metric", metric.to_string()));
    let places = [("provider", provider), ("location", location)];
    let places = places.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned())));
    let parameters: Vec<_> =
        std::iter::once(("last", "1h".to_owned())).chain(metrics).chain(places).collect();
    address(view.path(), &parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dashboard::alerts::fixture::alert,
        organisation::OrganisationId,
        report::{
            Dimension,
            fixture::{self, Measured, agent_entry, answer, registration, row, series},
        },
    };
    use peerlight_proto::metric::Metric;

    fn asked() -> Question {
        Question {
            by: vec![Dimension::Location, Dimension::Provider],
            ..Question::new(OrganisationId::DEFAULT, Timestamp::from_secs(1_000_000))
        }
    }

    fn report(rows: &[Measured]) -> Report {
        let registrations = [registration(1, "Aurora", "GB-LND"), registration(2, "Borealis", "GB-LND")];
        let found = fixture::Evidence { rows, registrations: &registrations, ..fixture::Evidence::default() };
        answer(&asked(), &found, asked().to)
    }

    fn measured(registration: i64, values_us: &[u64], lost: u64) -> Measured {
        row(registration, &series(Metric::TcpConnect, "edge"), values_us, lost)
    }

    fn found(usual: &[Measured], recent: &[Measured], agents: &[AgentEntry]) -> Now {
        found_beside(&[], usual, recent, agents)
    }

    fn found_beside(alerts: &[Alert], usual: &[Measured], recent: &[Measured], agents: &[AgentEntry]) -> Now {
        let why = "Outages are not known: ask for less".to_owned();
        let evidence = Evidence {
            question: &asked(),
            usual: &report(usual),
            recent: &report(recent),
            outages: Err(&why),
            alerts,
            agents: Some(agents),
            now: asked().to,
        };
        worries(&evidence)
    }

    #[test]
    fn what_loses_or_is_slower_is_told_and_what_is_not_known_too() {
        let usual = [measured(1, &[9_000; 400], 0), measured(2, &[50_000; 400], 0)];
        let recent = [measured(1, &[9_000; 70], 20), measured(2, &[70_000; 90], 0)];
        let now = found(&usual, &recent, &[]);
        let told: Vec<_> = now.worries.iter().map(|worry| worry.what.as_str()).collect();
        assert_eq!(told, ["GB-LND · Aurora loses 22.2%", "GB-LND · Borealis is slower than usual"]);
        assert_eq!(now.worries[1].detail, "p50 70.0 ms in the last 15 minutes, 50.0 ms over the span");
        assert_eq!(now.worries[0].href, "/series?last=1h&provider=Aurora&location=GB-LND");
        assert_eq!(now.unknown, ["Outages are not known: ask for less."]);
    }

    #[test]
    fn what_people_were_told_of_stands_first_and_leads_to_its_page() {
        let recent = [measured(1, &[9_000; 70], 20)];
        let now = found_beside(&[alert(7)], &[], &recent, &[]);
        let first = &now.worries[0];
        assert_eq!((first.href.as_str(), first.grave), ("/alerts/7", true));
        assert_eq!((&first.what, first.location.as_deref()), (&alert(7).summary, Some("GB-LND")));
        assert!(first.detail.starts_with("since 2026-09-21T"), "{}", first.detail);
        assert_eq!(now.worries.len(), 2, "{now:?}");
    }

    #[test]
    fn chance_is_no_worry() {
        let usual = [measured(1, &[9_000; 400], 0)];
        let now = found(&usual, &[measured(1, &[9_900; 60], 1)], &[agent_entry(fixture::AGENT)]);
        assert_eq!(now.worries, []);
        assert!(now.well.ends_with("; the one agent is well."), "{}", now.well);
    }

    #[test]
    fn agents_that_need_somebody_are_named_up_to_a_few() {
        let unwell = AgentEntry { state: vec!["never seen".to_owned()], ..agent_entry(fixture::AGENT) };
        let now = found(&[], &[], &vec![unwell; 7]);
        assert_eq!(now.worries[0].what, "7 agents need somebody");
        assert!(now.worries[0].detail.ends_with("never seen; 2 more"), "{}", now.worries[0].detail);
    }
}
