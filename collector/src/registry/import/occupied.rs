//! Who holds which site and prefix when: what is registered, and what the lines before said. Pure.
//!
//! Spans of one site, and of one prefix, do not overlap, so that those which meet another are found by a search; what
//! lies within or around a prefix is found in a trie. So a row costs what it meets, not what there is.

use crate::registry::{
    Registration, names,
    prefixes::{self, Candidate, Holder, Validity},
};
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;
use prefix_trie::joint::JointPrefixMap;
use std::collections::HashMap;

/// How many spans may be looked at for one file: seconds of work, and far more than prefixes take that are nested as
/// networks are.
const MAX_LOOKS: usize = 10_000_000;
/// How many reasons against one row are given.
const MAX_REASONS: usize = 8;

/// What holds a site or a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The registration at this place of those that are there.
    Registered(usize),
    /// The row that begins on this line, at this place of those that were taken.
    Line(u64, usize),
}

/// A row as it is to be registered.
#[derive(Debug)]
struct Taken {
    site: String,
    provider: String,
}

/// A span of time and who holds something in it.
#[derive(Debug, Clone, Copy)]
struct Held {
    validity: Validity,
    by: By,
}

/// Spans in the order of time.
type Spans = Vec<Held>;

/// A site under its folded name.
#[derive(Debug)]
struct Site {
    /// As its first registration spells it.
    spelling: String,
    spans: Spans,
}

/// The rows of this file lie within one another too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the prefixes lie within one another too often to be checked at once; import the file in parts")]
pub(super) struct TooNested;

/// Who holds what.
#[derive(Debug)]
pub(super) struct Occupied<'a> {
    registered: &'a [Registration],
    taken: Vec<Taken>,
    sites: HashMap<String, Site>,
    prefixes: JointPrefixMap<IpNet, Spans>,
    /// How many spans were looked at, and how many may be.
    looks: usize,
    most_looks: usize,
}

impl<'a> Occupied<'a> {
    /// What these registrations hold.
    pub(super) fn by(registered: &'a [Registration]) -> Self {
        let mut occupied = Self {
            registered,
            taken: Vec::new(),
            sites: HashMap::with_capacity(registered.len()),
            prefixes: JointPrefixMap::default(),
            looks: 0,
            most_looks: MAX_LOOKS,
        };
        for (at, registration) in registered.iter().enumerate() {
            let validity = registration.validity();
            occupied.hold(&registration.site, &registration.prefixes, validity, By::Registered(at));
        }
        occupied
    }

    /// The site as its first registration spells it.
    pub(super) fn spelling(&self, site: String) -> String {
        self.sites.get(&names::fold(&site)).map_or(site, |known| known.spelling.clone())
    }

    /// The registrations of a site.
    pub(super) fn of_site(&self, site: &str) -> impl Iterator<Item = &'a Registration> {
        let spans = self.sites.get(&names::fold(site)).map_or(&[][..], |known| known.spans.as_slice());
        spans.iter().filter_map(|held| match held.by {
            By::Registered(at) => self.registered.get(at),
            By::Line(..) => None,
        })
    }

    /// Why the candidate cannot stand beside what is there: every reason, with both sides named.
    pub(super) fn conflicts(&mut self, candidate: &Candidate<'_>) -> Result<Vec<String>, TooNested> {
        let mut reasons = prefixes::within(candidate);
        let mut looks = self.looks;
        if let Some(site) = self.sites.get(&names::fold(candidate.site)) {
            reasons.extend(meeting(&site.spans, candidate.validity, &mut looks).next().map(|held| {
                let (provider, entry) = (self.provider(held.by), self.entry(held.by));
                format!(
                    "the site `{}` is already registered through {provider} ({entry}); end that first",
                    site.spelling
                )
            }));
        }
        'row: for ours in candidate.prefixes {
            // A prefix is both around itself and within itself.
            let around = self.prefixes.cover(ours).filter(|(theirs, _)| theirs != ours);
            for (theirs, spans) in around.chain(self.prefixes.children(ours)) {
                if reasons.len() >= MAX_REASONS {
                    break 'row;
                }
                looks += 1;
                for held in meeting(spans, candidate.validity, &mut looks) {
                    let (site, provider) = (self.site(held.by), self.provider(held.by));
                    let holder = Holder { site, provider, entry: &self.entry(held.by) };
                    reasons.extend(prefixes::reason(candidate, ours, &holder, &theirs));
                }
                if looks > self.most_looks {
                    return Err(TooNested);
                }
            }
        }
        self.looks = looks;
        Ok(reasons)
    }

    /// Keeps what a row is to hold.
    pub(super) fn take(&mut self, line: u64, candidate: &Candidate<'_>) {
        let by = By::Line(line, self.taken.len());
        self.taken.push(Taken { site: candidate.site.to_owned(), provider: candidate.provider.to_owned() });
        self.hold(candidate.site, candidate.prefixes, candidate.validity, by);
    }

    /// Looks at no more spans.
    #[cfg(test)]
    pub(super) const fn look_at_most(&mut self, spans: usize) {
        self.most_looks = spans;
    }

    /// How many spans were looked at.
    #[cfg(test)]
    pub(super) const fn looks(&self) -> usize {
        self.looks
    }

    fn hold(&mut self, site: &str, prefixes: &[IpNet], validity: Validity, by: By) {
        let known = self
            .sites
            .entry(names::fold(site))
            .or_insert_with(|| Site { spelling: site.to_owned(), spans: Vec::new() });
        // What ended as it began holds nothing.
        if !validity.meets(&validity) {
            return;
        }
        insert(&mut known.spans, Held { validity, by });
        for prefix in prefixes {
            match self.prefixes.get_mut(prefix) {
                Some(spans) => insert(spans, Held { validity, by }),
                None => drop(self.prefixes.insert(*prefix, vec![Held { validity, by }])),
            }
        }
    }

    fn site(&self, by: By) -> &str {
        match by {
            By::Registered(at) => self.registered.get(at).map_or("", |there| &there.site),
            By::Line(_, at) => self.taken.get(at).map_or("", |there| &there.site),
        }
    }

    fn provider(&self, by: By) -> &str {
        match by {
            By::Registered(at) => self.registered.get(at).map_or("", |there| &there.provider),
            By::Line(_, at) => self.taken.get(at).map_or("", |there| &there.provider),
        }
    }

    /// Which entry it is, for people.
    fn entry(&self, by: By) -> String {
        match by {
            By::Registered(at) => {
                format!("registration {}", self.registered.get(at).map_or(0, |there| there.id.0))
            }
            By::Line(line, _) => format!("line {line}"),
        }
    }
}

/// Puts a span among those that it does not meet.
fn insert(spans: &mut Spans, held: Held) {
    let at = spans.partition_point(|other| other.validity.from <= held.validity.from);
    spans.insert(at, held);
}

/// The spans that share an instant with this one, the latest first.
fn meeting<'s>(spans: &'s [Held], validity: Validity, looks: &mut usize) -> impl Iterator<Item = &'s Held> {
    let begin_before = |to: Timestamp| spans.partition_point(|held| held.validity.from < to);
    let end = validity.to.map_or(spans.len(), begin_before);
    spans[..end]
        .iter()
        .rev()
        .inspect(|_held| *looks += 1)
        .take_while(move |held| {
            // Those before it have ended by the time at which it begins.
            held.validity.to.is_none_or(|to| to > validity.from)
        })
        .filter(move |held| held.validity.meets(&validity))
}
