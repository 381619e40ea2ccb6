//! Evidence: the numbers that an alert rests on, and where to see them.

use super::{Culprit, Reading, Rule, Vote, reading::badness};
use crate::{
    organisation::OrganisationId,
    report::{Dimension, Question},
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, collections::BTreeSet};

/// How many readings are kept: the worst.
const MAX_READINGS: usize = 20;
/// How many sites and targets are named.
const MAX_NAMED: usize = 50;
/// How many are named in a link.
const MAX_LINKED: usize = 10;

/// What an alert rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Evidence {
    /// When it was gathered.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How the vote on who is to blame went.
    pub votes: Vec<Vote>,
    /// How many sites are affected.
    pub site_count: u64,
    /// At most 50 of them.
    pub sites: Vec<String>,
    /// How many targets are affected.
    pub target_count: u64,
    /// At most 50 of them.
    pub targets: Vec<String>,
    /// What was found, at most 20 readings, the worst of each rule first.
    pub readings: Vec<Reading>,
    /// The report that shows it: a path and its query on the operators' listener.
    pub report: String,
}

impl Evidence {
    /// Of these readings, which are not none.
    pub(super) fn of(
        culprit: &Culprit,
        votes: Vec<Vote>,
        mut readings: Vec<Reading>,
        rules: &[Rule],
        now: Timestamp,
    ) -> Self {
        let place = |reading: &Reading| rules.iter().position(|rule| rule.name == reading.rule);
        let worse = |one: &Reading, other: &Reading| {
            let rule = place(one).and_then(|at| rules.get(at));
            rule.map_or(Ordering::Equal, |rule| badness(rule, other).total_cmp(&badness(rule, one)))
        };
        readings.sort_by(|one, other| {
            // Graver rules first, of each the worst.
            let urgency =
                |reading: &Reading| place(reading).and_then(|at| rules.get(at)).map(|rule| rule.severity);
            urgency(other)
                .cmp(&urgency(one))
                .then_with(|| place(one).cmp(&place(other)))
                .then_with(|| worse(one, other))
                .then_with(|| one.spot.cmp(&other.spot))
        });
        let sites: BTreeSet<&str> = readings.iter().map(|reading| reading.spot.site.as_str()).collect();
        let targets: BTreeSet<&str> = readings.iter().map(|reading| reading.spot.target.as_str()).collect();
        let named = |names: &BTreeSet<&str>| {
            names.iter().take(MAX_NAMED).map(|name| (*name).to_owned()).collect::<Vec<_>>()
        };
        Self {
            at: now,
            votes,
            site_count: sites.len() as u64,
            target_count: targets.len() as u64,
            report: link(culprit, &readings, &sites, &targets),
            sites: named(&sites),
            targets: named(&targets),
            readings: readings.into_iter().take(MAX_READINGS).collect(),
        }
    }
}

/// The report of what was judged.
fn link(culprit: &Culprit, readings: &[Reading], sites: &BTreeSet<&str>, targets: &BTreeSet<&str>) -> String {
    let from = readings.iter().map(|reading| reading.from).min().unwrap_or(Timestamp::from_secs(0));
    let to = readings.iter().map(|reading| reading.to).max().unwrap_or(from);
    let mut question = Question {
        from,
        to,
        last: None,
        by: vec![Dimension::Provider, Dimension::Location, Dimension::Site, Dimension::Target],
        metrics: readings.iter().map(|reading| reading.metric).collect(),
        ..Question::new(OrganisationId::DEFAULT, to)
    };
    for (what, name) in culprit.names() {
        let names = match what {
            "provider" => &mut question.providers,
            "location" => &mut question.locations,
            "site" => &mut question.sites,
            "target" => &mut question.targets,
            _ => continue,
        };
        names.insert(name.to_owned());
    }
    let few = |names: &BTreeSet<&str>| names.len() <= MAX_LINKED;
    if matches!(culprit, Culprit::Edge { .. }) && few(sites) && few(targets) {
        question.sites = sites.iter().map(|&name| name.to_owned()).collect();
        question.targets = targets.iter().map(|&name| name.to_owned()).collect();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(question.parameters());
    format!("/api/v1/reports/latency?{}", query.finish())
}
