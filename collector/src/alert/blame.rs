//! Blame: one cause for what goes wrong together, by a vote from the widest to the narrowest.
//!
//! Each level asks whether four fifths of those that could tell say so, each of them once: a provider with a hundred sites has one
//! voice about a front door, as a provider with one. What a wider cause explains says nothing about a narrower one.

use super::{Culprit, Spot};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A spot that could be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// Which.
    pub spot: Spot,
    /// The front door that serves it, if that is known.
    pub edge: Option<String>,
    /// Whether it is bad.
    pub bad: bool,
}

/// What goes wrong together, and who is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// Who is to blame.
    pub culprit: Culprit,
    /// What is bad by it.
    pub spots: BTreeSet<Spot>,
    /// How the vote went, and against whom.
    pub votes: Vec<Vote>,
}

/// How many of a group are bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Vote {
    /// Of whom: `sites of Aurora at GB-LND`.
    pub of: String,
    /// How many are bad.
    pub bad: u64,
    /// How many could be judged.
    pub judged: u64,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.judged == 0 {
            write!(f, "none of the {} can be compared with", self.of)
        } else {
            write!(f, "{} of {} {}", self.bad, self.judged, self.of)
        }
    }
}

/// Divides what is bad among its causes: every bad spot belongs to exactly one.
pub(super) fn causes(judged: &[Judged]) -> Vec<Cause> {
    let mut court = Court { open: judged.iter().collect(), causes: Vec::new() };
    court.everything();
    court.locations();
    court.targets(|edges| edges != 1);
    court.edges();
    court.targets(|_edges| true);
    court.providers();
    court.providers_at();
    court.sites();
    court.causes
}

/// What has not been explained yet, and what has.
struct Court<'a> {
    open: Vec<&'a Judged>,
    causes: Vec<Cause>,
}

/// Whether so many are the four fifths that a blame takes.
const fn convicts((bad, judged): (usize, usize)) -> bool {
    judged > 0 && bad * 5 >= judged * 4
}

/// Bad and judged spots by what `key` says of them.
fn tally<'a: 'b, 'b, K: Ord>(
    spots: impl IntoIterator<Item = &'b &'a Judged>,
    key: impl Fn(&'a Judged) -> K,
) -> BTreeMap<K, (usize, usize)> {
    let mut counts: BTreeMap<K, (usize, usize)> = BTreeMap::new();
    for one in spots {
        let (bad, judged) = counts.entry(key(one)).or_default();
        *bad += usize::from(one.bad);
        *judged += 1;
    }
    counts
}

/// How many of these are bad by four fifths of their own, and how many there are.
fn bad_of<K>(counts: &BTreeMap<K, (usize, usize)>) -> (usize, usize) {
    (counts.values().filter(|count| convicts(**count)).count(), counts.len())
}

fn vote(of: impl Into<String>, (bad, judged): (usize, usize)) -> Vote {
    Vote { of: of.into(), bad: bad as u64, judged: judged as u64 }
}

/// What a spot is measured against: the front door where it is known, else the target.
fn subject(one: &Judged) -> (bool, &str) {
    one.edge.as_deref().map_or((false, one.spot.target.as_str()), |edge| (true, edge))
}

fn subjects(spots: &[&Judged]) -> usize {
    spots.iter().map(|one| subject(one)).collect::<BTreeSet<_>>().len()
}

impl<'a> Court<'a> {
    /// Blames the culprit for those of the open spots that are bad and for which `whose` holds.
    fn blame(&mut self, culprit: Culprit, votes: Vec<Vote>, whose: impl Fn(&Judged) -> bool) {
        let spots: BTreeSet<Spot> =
            self.open.iter().filter(|one| one.bad && whose(one)).map(|one| one.spot.clone()).collect();
        if spots.is_empty() {
            return;
        }
        self.open.retain(|one| !spots.contains(&one.spot));
        self.causes.push(Cause { culprit, spots, votes });
    }

    fn where_(&self, whose: impl Fn(&Judged) -> bool) -> Vec<&'a Judged> {
        self.open.iter().filter(|one| whose(one)).copied().collect()
    }

    fn names<'b>(&self, of: impl Fn(&'a Judged) -> Option<&'b str>) -> BTreeSet<&'b str>
    where
        'a: 'b,
    {
        self.open.iter().filter(|one| one.bad).filter_map(|one| of(one)).collect()
    }

    fn everything(&mut self) {
        let providers = bad_of(&tally(&self.open, |one| &one.spot.provider));
        let locations = bad_of(&tally(&self.open, |one| &one.spot.location));
        let wide = providers.1 >= 2 && locations.1 >= 2 && subjects(&self.open) >= 2;
        if wide && convicts(providers) && convicts(locations) {
            let votes = vec![vote("providers", providers), vote("locations", locations)];
            self.blame(Culprit::Everything, votes, |_| true);
        }
    }

    fn locations(&mut self) {
        for location in self.names(|one| Some(&one.spot.location)) {
            let there = self.where_(|one| one.spot.location == location);
            let providers = bad_of(&tally(&there, |one| &one.spot.provider));
            if providers.1 >= 2 && subjects(&there) >= 2 && convicts(providers) {
                let elsewhere = self.where_(|one| one.spot.location != location);
                let others = bad_of(&tally(&elsewhere, |one| &one.spot.location));
                let votes = vec![
                    vote(format!("providers at {location}"), providers),
                    vote("other locations", others),
                ];
                let culprit = Culprit::Location { location: location.to_owned() };
                self.blame(culprit, votes, |one| one.spot.location == location);
            }
        }
    }

    /// Targets that all providers find bad, if so many front doors serve them as `fits` says.
    fn targets(&mut self, fits: impl Fn(usize) -> bool) {
        for target in self.names(|one| Some(&one.spot.target)) {
            let there = self.where_(|one| one.spot.target == target);
            let edges: BTreeSet<_> = there.iter().filter_map(|one| one.edge.as_deref()).collect();
            let providers = bad_of(&tally(&there, |one| &one.spot.provider));
            if providers.1 >= 2 && convicts(providers) && fits(edges.len()) {
                let elsewhere = self.where_(|one| one.spot.target != target);
                let others = bad_of(&tally(&elsewhere, |one| &one.spot.target));
                let votes = vec![
                    vote(format!("providers that measure {target}"), providers),
                    vote("other targets", others),
                ];
                let culprit = Culprit::Target { target: target.to_owned() };
                self.blame(culprit, votes, |one| one.spot.target == target);
            }
        }
    }

    fn edges(&mut self) {
        for edge in self.names(|one| one.edge.as_deref()) {
            let behind = self.where_(|one| one.edge.as_deref() == Some(edge));
            let providers = bad_of(&tally(&behind, |one| &one.spot.provider));
            if providers.1 >= 2 && convicts(providers) {
                let elsewhere = self.where_(|one| one.edge.as_deref().is_some_and(|other| other != edge));
                let others = bad_of(&tally(&elsewhere, |one| one.edge.as_deref()));
                let votes = vec![
                    vote(format!("providers behind front door {edge}"), providers),
                    vote("other front doors", others),
                ];
                let culprit = Culprit::Edge { edge: edge.to_owned() };
                self.blame(culprit, votes, |one| one.edge.as_deref() == Some(edge));
            }
        }
    }

    fn providers(&mut self) {
        for provider in self.names(|one| Some(&one.spot.provider)) {
            let own = self.where_(|one| one.spot.provider == provider);
            let towards = guilty(&own, |one| &one.spot.location);
            if towards.is_empty() {
                continue;
            }
            let sites = |there: &[&Judged]| bad_sites(there, &towards);
            let others = self.where_(|one| one.spot.provider != provider);
            let locations = bad_of(&tally(own.iter().filter(|one| towards.contains(&subject(one))), |one| {
                &one.spot.location
            }));
            let votes = vec![
                vote(format!("locations of {provider}"), locations),
                vote("sites of other providers", sites(&others)),
            ];
            let hit = hit_sites(&own, &towards);
            self.blame(Culprit::Provider { provider: provider.to_owned() }, votes, |one| {
                one.spot.provider == provider && hit.contains(&one.spot.site)
            });
        }
    }

    fn providers_at(&mut self) {
        let places: BTreeSet<(&str, &str)> = self
            .open
            .iter()
            .filter(|one| one.bad)
            .map(|one| (one.spot.provider.as_str(), one.spot.location.as_str()))
            .collect();
        for (provider, location) in places {
            let there = |one: &Judged| one.spot.location == location;
            let own = self.where_(|one| there(one) && one.spot.provider == provider);
            let towards = guilty(&own, |one| &one.spot.site);
            if towards.is_empty() {
                continue;
            }
            let others = self.where_(|one| there(one) && one.spot.provider != provider);
            let votes = vec![
                vote(format!("sites of {provider} at {location}"), bad_sites(&own, &towards)),
                vote(format!("sites of other providers at {location}"), bad_sites(&others, &towards)),
            ];
            let hit = hit_sites(&own, &towards);
            let culprit =
                Culprit::ProviderAt { provider: provider.to_owned(), location: location.to_owned() };
            self.blame(culprit, votes, |one| {
                there(one) && one.spot.provider == provider && hit.contains(&one.spot.site)
            });
        }
    }

    fn sites(&mut self) {
        while let Some(first) = self.open.iter().find(|one| one.bad).map(|one| one.spot.clone()) {
            let Spot { provider, location, site, .. } = first;
            let others = self.where_(|one| {
                (&one.spot.provider, &one.spot.location) == (&provider, &location) && one.spot.site != site
            });
            let own = self.where_(|one| one.spot.site == site);
            let votes = vec![
                vote(format!("targets of {site}"), (own.iter().filter(|one| one.bad).count(), own.len())),
                vote(
                    format!("other sites of {provider} at {location}"),
                    bad_of(&tally(&others, |one| &one.spot.site)),
                ),
            ];
            let culprit = Culprit::Site { provider: provider.clone(), location, site: site.clone() };
            self.blame(culprit, votes, |one| one.spot.site == site && one.spot.provider == provider);
        }
    }
}

/// The subjects that at least two of the units, and four fifths of those that measure it, find bad.
fn guilty<'a>(own: &[&'a Judged], unit: impl Fn(&'a Judged) -> &'a String) -> BTreeSet<(bool, &'a str)> {
    let mut by_subject: BTreeMap<(bool, &str), Vec<&Judged>> = BTreeMap::new();
    for one in own {
        by_subject.entry(subject(one)).or_default().push(one);
    }
    let bad = by_subject.into_iter().filter(|(_, spots)| {
        let units = bad_of(&tally(spots, &unit));
        units.1 >= 2 && convicts(units)
    });
    bad.map(|(subject, _)| subject).collect()
}

/// How many sites find these subjects bad, and how many measure them.
fn bad_sites(spots: &[&Judged], towards: &BTreeSet<(bool, &str)>) -> (usize, usize) {
    bad_of(&tally(spots.iter().filter(|one| towards.contains(&subject(one))), |one| &one.spot.site))
}

/// The sites that are bad towards these subjects: what else is bad there is of the same cause.
fn hit_sites(spots: &[&Judged], towards: &BTreeSet<(bool, &str)>) -> BTreeSet<String> {
    let hit = spots.iter().filter(|one| one.bad && towards.contains(&subject(one)));
    hit.map(|one| one.spot.site.clone()).collect()
}

#[cfg(test)]
mod tests;
