//! Groups: what rows of a report are about, by the dimensions that were asked for.

use super::{Dimension, Question, base_of, question::same, silence::Silences, tally::Counting};
use crate::{
    registry::{Registration, RegistrationId, Registrations},
    store::{Grouping, Origin, Presences, Shape},
};
use hashbrown::HashMap;
use indexmap::IndexSet;
use ipnet::IpNet;
use peerlight_proto::{
    id::AgentId,
    metric::Metric,
    series::{Clock, Family, Path},
    target::{Host, ProbeKind},
};
use serde::{Deserialize, Serialize};
use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The names of a group; only those that were asked for are there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Group {
    /// The provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The location, as ISO 3166-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The target's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The target's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What is done at the target: `icmp`, `tcp:443`, `https`, `dns`, `udp:3478`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The registered prefix; off-prefix the network of the public address that was seen, or `none` where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The address family, `v4` or `v6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Straight to the target, `direct`, or through the site's proxy, `proxy`: never added up, for they are different ways.
    #[schema(value_type = String)]
    pub path: Path,
}

impl Group {
    /// Its name in one dimension.
    pub fn name(&self, dimension: Dimension) -> &str {
        let name = match dimension {
            Dimension::Provider => &self.provider,
            Dimension::Location => &self.location,
            Dimension::Site => &self.site,
            Dimension::Target => &self.target,
            Dimension::Prefix => &self.prefix,
            Dimension::Family => &self.family,
        };
        name.as_deref().unwrap_or_default()
    }

    /// Its names in the order of `by`, in one line.
    pub fn label(&self, by: &[Dimension]) -> String {
        let names = by.iter().map(|dimension| self.name(*dimension));
        names.chain(self.is_proxied().then_some("through the proxy")).collect::<Vec<_>>().join(" · ")
    }

    /// Whether the probes went through the site's proxy.
    pub fn is_proxied(&self) -> bool {
        self.path == Path::Proxy
    }
}

/// The registered prefix that a row's lies in. What was re-attributed still bears the one that it was measured under, or
/// its own network.
fn registered(registration: Option<&Registration>, prefix: IpNet) -> IpNet {
    let prefixes = registration.map_or(&[][..], |entry| &entry.prefixes);
    let around = prefixes.iter().filter(|registered| registered.contains(&prefix));
    around.max_by_key(|registered| registered.prefix_len()).copied().unwrap_or(prefix)
}

/// The number of a thing among those that are numbered, given to it now if it has none.
fn number<T: Eq + Hash>(things: &mut IndexSet<T>, thing: T) -> u32 {
    u32::try_from(things.insert_full(thing).0).unwrap_or(u32::MAX)
}

/// What a group is of a registration, as far as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    provider: Option<String>,
    location: Option<String>,
    site: Option<String>,
}

/// What a group is of a shape, as far as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Subject {
    target: Option<(String, Host, ProbeKind)>,
    family: Option<Family>,
    path: Path,
}

/// A group, by numbers of [`Groups`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct GroupKey {
    place: u32,
    /// The target, family and path, as far as they were asked for: the same number at every place.
    pub(super) subject: u32,
    prefix: Option<IpNet>,
}

/// What measurements add to in a report: a group's row of a metric, and how they count there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Share {
    pub(super) group: GroupKey,
    pub(super) metric: Metric,
    pub(super) clock: Clock,
    pub(super) counting: Counting,
    /// Whether the target never answers ICMP there while TCP works, and this is ICMP.
    pub(super) silent: bool,
}

/// Says which group of a report each measurement belongs to, and what groups are called: one target has one name here,
/// whatever its agents call it.
#[derive(Debug)]
pub struct Groups {
    question: Question,
    registrations: Registrations,
    names: HashMap<(Host, ProbeKind), String>,
    silences: Silences,
    known: Mutex<Known>,
}

/// What was found out so far. A fleet has many registrations and few shapes, each of which is asked about over and over.
#[derive(Debug, Default)]
struct Known {
    places: IndexSet<Place>,
    registrations: HashMap<RegistrationId, AtPlace>,
    subjects: IndexSet<Subject>,
    /// By where they are in memory.
    shapes: HashMap<usize, OfSubject>,
    shares: IndexSet<Share>,
}

/// What is known of a registration.
#[derive(Debug, Clone, Copy)]
struct AtPlace {
    place: u32,
    wanted: bool,
    count_declared: bool,
}

/// What is known of a shape.
#[derive(Debug)]
struct OfSubject {
    subject: u32,
    wanted: bool,
    /// As long as it is held no other one is in its place.
    _shape: Arc<Shape>,
}

/// What groups are ordered by, one dimension after another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(String),
    Target(String, Host, ProbeKind),
    Prefix(Option<IpNet>),
    Family(Option<Family>),
}

impl Groups {
    /// The groups of what the question asks, given every registration of the organisation and what its agents measured.
    pub fn new(question: Question, registrations: Registrations, presence: &Presences) -> Self {
        let mut names: HashMap<(Host, ProbeKind), String> = HashMap::new();
        for shape in presence.shapes_of(|registration| registrations.tells_of(registration)) {
            let target = &shape.target;
            names
                .entry((target.address.clone(), target.probe.clone()))
                .and_modify(|name| {
                    if target.name < *name {
                        name.clone_from(&target.name);
                    }
                })
                .or_insert_with(|| target.name.clone());
        }
        Self { question, registrations, names, silences: Silences::default(), known: Mutex::default() }
    }

    /// The same where it is known which targets never answer ICMP.
    #[must_use]
    pub fn with_silences(self, silences: Silences) -> Self {
        Self { silences, ..self }
    }

    /// What is asked.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Whether a shape is ICMP to a target that never answers it at the registration's site while TCP works there.
    pub(super) fn is_silent(&self, registration: RegistrationId, shape: &Shape) -> bool {
        self.silences.hold(registration, shape)
    }

    /// A provider's name as it is registered.
    pub(super) fn provider(&self, asked: &str) -> String {
        let mut registered = self.registrations.iter().map(|entry| &entry.provider);
        registered.find(|name| same(name, asked)).map_or_else(|| asked.to_owned(), Clone::clone)
    }

    pub(super) fn registration(&self, id: RegistrationId) -> Option<&Registration> {
        self.registrations.get(id)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The share of this number.
    pub(super) fn share(&self, number: u32) -> Option<Share> {
        self.known().shares.get_index(number as usize).copied()
    }

    /// The group of a shape at a registration; `prefix` is what a measurement says of it, which a schedule has none of.
    pub(super) fn key(
        &self,
        registration: RegistrationId,
        shape: &Arc<Shape>,
        prefix: Option<IpNet>,
    ) -> GroupKey {
        let mut known = self.known();
        let (at, of) = (self.at_place(&mut known, registration), self.of_subject(&mut known, shape));
        self.group_key(registration, (at.place, of.0), prefix)
    }

    fn group_key(
        &self,
        registration: RegistrationId,
        (place, subject): (u32, u32),
        prefix: Option<IpNet>,
    ) -> GroupKey {
        let by_prefix = self.question.by.contains(&Dimension::Prefix);
        let prefix =
            prefix.filter(|_| by_prefix).map(|prefix| registered(self.registration(registration), prefix));
        GroupKey { place, subject, prefix }
    }

    fn at_place(&self, known: &mut Known, registration: RegistrationId) -> AtPlace {
        let Known { places, registrations, .. } = known;
        *registrations.entry(registration).or_insert_with(|| {
            let entry = self.registration(registration);
            AtPlace {
                place: number(places, self.place(registration)),
                wanted: entry.map_or_else(
                    || self.registrations.tells_of(registration),
                    |entry| self.question.wants(entry),
                ),
                count_declared: entry.is_some_and(|entry| entry.count_declared),
            }
        })
    }

    /// The number of a shape's subject, and whether it is wanted.
    fn of_subject(&self, known: &mut Known, shape: &Arc<Shape>) -> (u32, bool) {
        let Known { subjects, shapes, .. } = known;
        let of = shapes.entry(Arc::as_ptr(shape).addr()).or_insert_with(|| {
            let question = &self.question;
            let beside = shape.metric == Metric::AgentNoise
                || base_of(shape.metric).is_some_and(|base| question.wants_metric(base));
            let wanted =
                question.wants_target(&shape.target) && (beside || question.wants_metric(shape.metric));
            OfSubject { subject: number(subjects, self.subject(shape)), wanted, _shape: Arc::clone(shape) }
        });
        (of.subject, of.wanted)
    }

    fn place(&self, registration: RegistrationId) -> Place {
        let entry = self.registration(registration);
        // A registration is never deleted; a row without one still shows rather than vanishes.
        let named = |dimension, of: fn(&Registration) -> &String| {
            let name = || {
                entry.map_or_else(
                    || format!("unknown registration {}", registration.0),
                    |entry| of(entry).clone(),
                )
            };
            self.question.by.contains(&dimension).then(name)
        };
        Place {
            provider: named(Dimension::Provider, |entry| &entry.provider),
            location: named(Dimension::Location, |entry| &entry.location),
            site: named(Dimension::Site, |entry| &entry.site),
        }
    }

    fn subject(&self, shape: &Shape) -> Subject {
        let asked = |dimension| self.question.by.contains(&dimension);
        let target = || {
            let identity = (shape.target.address.clone(), shape.target.probe.clone());
            let name = self.names.get(&identity).unwrap_or(&shape.target.name);
            (name.clone(), identity.0, identity.1)
        };
        Subject {
            target: asked(Dimension::Target).then(target),
            family: asked(Dimension::Family).then_some(shape.family),
            path: shape.path,
        }
    }

    /// Sorts by what groups are called, dimension by dimension in the order asked for, then by path and what else `of` says.
    pub(super) fn sort<T, O: Ord>(&self, rows: &mut [T], of: impl Fn(&T) -> (GroupKey, O)) {
        let known = self.known();
        rows.sort_by_cached_key(|row| {
            let (key, rest) = of(row);
            let (place, subject) =
                (known.places.get_index(key.place as usize), known.subjects.get_index(key.subject as usize));
            let text = |of: fn(&Place) -> &Option<String>| {
                Part::Text(place.and_then(|place| of(place).clone()).unwrap_or_default())
            };
            let part = |dimension: &Dimension| match dimension {
                Dimension::Provider => text(|place| &place.provider),
                Dimension::Location => text(|place| &place.location),
                Dimension::Site => text(|place| &place.site),
                Dimension::Target => subject
                    .and_then(|subject| subject.target.clone())
                    .map_or(Part::Text(String::new()), |(name, address, probe)| {
                        Part::Target(name, address, probe)
                    }),
                Dimension::Prefix => Part::Prefix(key.prefix),
                Dimension::Family => Part::Family(subject.and_then(|subject| subject.family)),
            };
            let parts: Vec<Part> = self.question.by.iter().map(part).collect();
            (parts, subject.map(|subject| subject.path), rest)
        });
    }

    /// What a group is called.
    pub(super) fn called(&self, key: GroupKey) -> Group {
        let known = self.known();
        let place = known.places.get_index(key.place as usize).cloned();
        let place = place.unwrap_or(Place { provider: None, location: None, site: None });
        let subject = known.subjects.get_index(key.subject as usize).cloned();
        let subject = subject.unwrap_or(Subject { target: None, family: None, path: Path::Direct });
        let (target, address, probe) = match subject.target {
            Some((name, address, probe)) => (Some(name), Some(address.to_string()), Some(probe.to_string())),
            None => (None, None, None),
        };
        let prefix = || key.prefix.map_or_else(|| "none".to_owned(), |prefix| prefix.to_string());
        Group {
            provider: place.provider,
            location: place.location,
            site: place.site,
            target,
            address,
            probe,
            prefix: self.question.by.contains(&Dimension::Prefix).then(prefix),
            family: subject.family.map(|family| family.to_string()),
            path: subject.path,
        }
    }
}

impl Grouping for Groups {
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, _agent: Option<AgentId>) -> Option<u32> {
        let mut known = self.known();
        let at = self.at_place(&mut known, origin.registration);
        let (subject, wanted) = self.of_subject(&mut known, shape);
        (at.wanted && wanted).then(|| {
            let group = self.group_key(origin.registration, (at.place, subject), origin.prefix);
            let counting = Counting::of(origin.attribution, at.count_declared);
            let silent = self.is_silent(origin.registration, shape);
            let Shape { metric, clock, .. } = **shape;
            number(&mut known.shares, Share { group, metric, clock, counting, silent })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::registration;

    #[test]
    fn a_row_is_shown_under_the_longest_registered_prefix_around_its_own() {
        let prefixes = ["192.0.2.0/24", "192.0.2.0/26"].map(|text| text.parse().unwrap()).to_vec();
        let entry = Registration { prefixes, ..registration(1, "Aurora", "GB-LND") };
        let shown = |text: &str| registered(Some(&entry), text.parse().unwrap()).to_string();
        assert_eq!(shown("192.0.2.0/26"), "192.0.2.0/26");
        assert_eq!(shown("192.0.2.16/28"), "192.0.2.0/26");
        assert_eq!(shown("192.0.2.128/25"), "192.0.2.0/24");
        assert_eq!(shown("198.51.100.0/24"), "198.51.100.0/24", "off-prefix");
    }
}
