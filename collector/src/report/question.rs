//! Questions: what is asked, over which span, grouped by what; read from the parameters of a URL.

mod parse;

use crate::{
    organisation::OrganisationId,
    registry::{Registration, RegistrationId, Registrations},
    rfc3339,
    store::{Presences, Query, slot_of},
};
use peerlight_proto::{duration, metric::Metric, target::Target, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, time::Duration};

/// The longest span of a question: what the coarsest rollups are kept for.
pub const MAX_SPAN: Duration = Duration::from_hours(5 * 366 * 24);
/// The span of a question that names none.
pub const DEFAULT_LAST: Duration = Duration::from_hours(1);
/// The most slots that a question with a step may have.
pub const MAX_SLOTS: u64 = 2_000;

/// How many unknown parameters are named.
const MAX_NAMED: usize = 64;

/// What rows of a report are grouped by; the path and the metric always are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// The provider.
    Provider,
    /// The location, as ISO 3166-2.
    Location,
    /// The site.
    Site,
    /// The target.
    Target,
    /// The registered prefix that the observed address lay in.
    Prefix,
    /// The address family.
    Family,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 6] =
        [Self::Provider, Self::Location, Self::Site, Self::Target, Self::Prefix, Self::Family];

    /// Its name in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Location => "location",
            Self::Site => "site",
            Self::Target => "target",
            Self::Prefix => "prefix",
            Self::Family => "family",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose measurements.
    pub organisation: OrganisationId,
    /// The first instant of the span.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// How the span was named, if it was by its length up to now.
    pub last: Option<Duration>,
    /// What rows are grouped by, in the order of their columns.
    pub by: Vec<Dimension>,
    /// Only these metrics; empty means every one but jitters and noise, which stand beside the others.
    pub metrics: BTreeSet<Metric>,
    /// Only these providers; empty means every one, as below.
    pub providers: BTreeSet<String>,
    /// Only these locations; a country's code means every location in it.
    pub locations: BTreeSet<String>,
    /// Only these sites.
    pub sites: BTreeSet<String>,
    /// Only these targets, by name, address or identity.
    pub targets: BTreeSet<String>,
    /// One row per group and slot of this length rather than one over the whole span.
    pub step: Option<Duration>,
}

/// Everything that is wrong with a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the question cannot be answered: {}", errors.join("; "))]
pub struct QuestionError {
    /// What is wrong, each with what to write instead.
    pub errors: Vec<String>,
}

impl Question {
    /// The last hour by provider, of every metric.
    pub fn new(organisation: OrganisationId, now: Timestamp) -> Self {
        Self {
            organisation,
            from: start_of_minute(now.minus(DEFAULT_LAST)),
            to: now,
            last: Some(DEFAULT_LAST),
            by: vec![Dimension::Provider],
            metrics: BTreeSet::new(),
            providers: BTreeSet::new(),
            locations: BTreeSet::new(),
            sites: BTreeSet::new(),
            targets: BTreeSet::new(),
            step: None,
        }
    }

    /// Reads the parameters of a URL (see `parse::PARAMETERS` for their names): what can be understood of them, and
    /// everything that is wrong with them. [`Self::unknown_names`] tells what else may be.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        parse::read(parameters, organisation, now)
    }

    /// The same where only some parameters may be given: also says which were, other than empty.
    pub(super) fn read_some<'a>(
        names: &[&str],
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>, BTreeSet<&'a str>) {
        let (known, others): (Vec<_>, Vec<_>) =
            parameters.into_iter().partition(|(name, _)| names.contains(name));
        let (question, wrong) = parse::read(known.iter().copied(), organisation, now);
        let mut errors: Vec<String> =
            others.iter().map(|(name, _)| parse::no_parameter(name, names)).collect();
        errors.truncate(MAX_NAMED);
        errors.extend(wrong);
        let given = known.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| *name);
        let given = given.collect();
        (question, errors, given)
    }

    /// The parameters that ask this again.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if let Some(last) = self.last {
            parameters.push(("last", duration::text(last)));
        } else {
            parameters.push(("from", rfc3339::text(self.from)));
            parameters.push(("to", rfc3339::text(self.to)));
        }
        let by: Vec<_> = self.by.iter().map(|dimension| dimension.name()).collect();
        parameters.push(("by", by.join(",")));
        parameters.extend(self.metrics.iter().map(|metric| ("metric", metric.to_string())));
        for (name, values) in self.filters() {
            parameters.extend(values.iter().map(|value| (name, value.clone())));
        }
        if let Some(step) = self.step {
            parameters.push(("step", duration::text(step)));
        }
        parameters
    }

    /// What the store is asked: everything that may belong to the answer.
    pub fn query(&self, registrations: &Registrations) -> Query {
        let beside = |metric: &Metric| [Some(*metric), metric.jitter(), Some(Metric::AgentNoise)];
        let metrics = self.metrics.iter().flat_map(beside).flatten();
        let filtered = registrations.is_restricted()
            || !(self.providers.is_empty() && self.locations.is_empty() && self.sites.is_empty());
        let chosen = || registrations.iter().filter(|registration| self.wants(registration));
        Query {
            organisation: self.organisation,
            from: self.from,
            to: self.to,
            metrics: metrics.collect(),
            registrations: filtered
                .then(|| chosen().map(|registration| registration.id).collect::<BTreeSet<RegistrationId>>()),
            step: self.step,
        }
    }

    /// What the filters name that is not there, with what is: a mistyped name must not look like an empty report.
    pub fn unknown_names(&self, registrations: &Registrations, presence: &Presences) -> Vec<String> {
        let mut errors = Vec::new();
        let mut compare = |what: &str,
                           asked: &BTreeSet<String>,
                           of: fn(&Registration) -> &String,
                           fits: &dyn Fn(&str, &str) -> bool| {
            for name in asked {
                if !registrations.iter().any(|entry| fits(of(entry), name)) {
                    let known = registrations.iter().map(of).cloned().collect();
                    errors.push(unknown(what, name, &known));
                }
            }
        };
        compare("provider", &self.providers, |entry| &entry.provider, &same);
        compare("location", &self.locations, |entry| &entry.location, &within);
        compare("site", &self.sites, |entry| &entry.site, &same);
        let seen = || presence.shapes_of(|registration| registrations.tells_of(registration));
        for name in &self.targets {
            if !seen().any(|shape| is_target(name, &shape.target)) {
                let known = seen().map(|shape| shape.target.name.clone()).collect();
                errors.push(unknown("target", name, &known));
            }
        }
        errors
    }

    /// Whether rows of this metric are in the report.
    pub fn wants_metric(&self, metric: Metric) -> bool {
        if self.metrics.is_empty() {
            !matches!(metric, Metric::Jitter(_) | Metric::AgentNoise)
        } else {
            self.metrics.contains(&metric)
        }
    }

    /// Whether measurements of this registration are in the report.
    pub fn wants(&self, registration: &Registration) -> bool {
        let any = |asked: &BTreeSet<String>, there: &str, fits: fn(&str, &str) -> bool| {
            asked.is_empty() || asked.iter().any(|name| fits(there, name))
        };
        any(&self.providers, &registration.provider, same)
            && any(&self.locations, &registration.location, within)
            && any(&self.sites, &registration.site, same)
    }

    /// Whether measurements of this target are in the report.
    pub fn wants_target(&self, target: &Target) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|name| is_target(name, target))
    }

    fn filters(&self) -> [(&'static str, &BTreeSet<String>); 4] {
        [
            ("provider", &self.providers),
            ("location", &self.locations),
            ("site", &self.sites),
            ("target", &self.targets),
        ]
    }
}

/// What is wrong with a span that begins at `from` where the quarter hours that answer it are kept for `kept`.
pub(super) fn kept_since(from: Timestamp, kept: Duration, now: Timestamp) -> Option<String> {
    // The day is kept whole that its end lies in.
    let since = slot_of(now.minus(kept), Duration::from_hours(24));
    (from < since).then(|| {
        format!(
            "quarter hours, which this takes, are kept for {} ([retention] quarter_hour); let the span begin at {} or later",
            duration::text(kept),
            rfc3339::text(since)
        )
    })
}

/// The start of the minute that `instant` lies in.
pub(crate) fn start_of_minute(instant: Timestamp) -> Timestamp {
    Timestamp::from_secs(instant.as_secs().div_euclid(60).saturating_mul(60))
}

/// Whether two names are one.
pub(crate) fn same(there: &str, asked: &str) -> bool {
    there.to_lowercase() == asked.to_lowercase()
}

/// Whether a location is the one asked for, or lies in the country asked for.
pub(crate) fn within(there: &str, asked: &str) -> bool {
    same(there, asked) || there.split_once('-').is_some_and(|(country, _state)| same(country, asked))
}

fn is_target(name: &str, target: &Target) -> bool {
    same(&target.name, name) || same(target.address.as_str(), name) || target.id().to_string() == name
}

/// Tells of a name that is not there, with the nearest that is.
fn unknown(what: &str, name: &str, known: &BTreeSet<String>) -> String {
    const SHOWN: usize = 12;
    let nearest = known
        .iter()
        .map(|there| (strsim::damerau_levenshtein(&there.to_lowercase(), &name.to_lowercase()), there))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    let name: String = name.chars().take(80).collect();
    if let Some((_, nearest)) = nearest {
        return format!("there is no {what} `{name}`; did you mean `{nearest}`?");
    }
    let mut list: Vec<&str> = known.iter().map(String::as_str).take(SHOWN).collect();
    if known.len() > SHOWN {
        list.push("…");
    }
    if list.is_empty() {
        format!("there is no {what} `{name}`; there is none yet")
    } else {
        format!("there is no {what} `{name}`; there are {}", list.join(", "))
    }
}

#[cfg(test)]
mod tests;
