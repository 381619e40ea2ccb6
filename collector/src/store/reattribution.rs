//! Re-attribution: measurements of a span are given to another registration, because the one that admission chose was
//! wrong (rules, §7). What is decided here is pure; backends act on it.

use crate::{admission::Attribution, organisation::OrganisationId, registry::RegistrationId};
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;

/// What is to be moved, for whom and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reattribute {
    /// Whose measurements; both registrations are its own.
    pub organisation: OrganisationId,
    /// The registration that they count for.
    pub from: RegistrationId,
    /// The registration that they are to count for.
    pub to: RegistrationId,
    /// The prefixes of that one.
    pub prefixes: Vec<IpNet>,
    /// Only measurements whose interval starts at or after this instant; none means every one.
    pub since: Option<Timestamp>,
    /// Only measurements whose interval starts before this instant.
    pub until: Timestamp,
    /// The operator.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    pub begun: Timestamp,
}

/// A re-attribution and how far it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reattribution {
    /// Its number in the store.
    pub id: i64,
    /// What was asked for.
    pub order: Reattribute,
    /// What was moved so far.
    pub moved: Moved,
    /// When the last of it was moved.
    pub finished: Option<Timestamp>,
}

/// What a re-attribution moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Measurements as they came.
    pub measurements: u64,
    /// Rows of rollups whose measurements have expired.
    pub rollup_rows: u64,
    /// The probes that both count, once in each of their series.
    pub probes: u64,
    /// Rollups that are recomputed because of it.
    pub spans: u64,
    /// Damaged blocks, left as they are.
    pub unreadable: u64,
}

/// The first and last instant of a presence.
pub(super) type Span = (Timestamp, Timestamp);

impl Reattribute {
    /// Whether a measurement, or a rollup, of the registration that starts then is moved.
    pub(super) fn covers(&self, start: Timestamp) -> bool {
        start < self.until && self.since.is_none_or(|since| since <= start)
    }

    /// How sure it is that the probes left through the new registration's uplink. The observed address is not stored, but
    /// the prefix that it lay in, or its own network, is, and stays beside the measurement: so going back restores what was.
    ///
    /// Inside a prefix of the new registration it is verified, outside all of them off-prefix, and declared where a
    /// prefix of the new one covers only a part of it. Without a prefix nothing new is known.
    pub(super) fn attribution(&self, now: Attribution, prefix: Option<IpNet>) -> Attribution {
        let Some(prefix) = prefix else { return now };
        if self.prefixes.iter().any(|new| new.contains(&prefix)) {
            Attribution::Verified
        } else if self.prefixes.iter().any(|new| prefix.contains(new)) {
            Attribution::Declared
        } else {
            Attribution::OffPrefix
        }
    }

    /// What of a presence stays, and what goes over. A presence has no holes: one that reaches beyond both ends stays
    /// as it is.
    pub(super) fn split(&self, (first, last): Span) -> (Option<Span>, Option<Span>) {
        let since = self.since.map_or(first, |since| since.max(first));
        if self.until <= since || last <= since {
            return (Some((first, last)), None);
        }
        let moved = (since, self.until.min(last));
        let left = match (first < since, self.until < last) {
            (true, true) => Some((first, last)),
            (true, false) => Some((first, since)),
            (false, true) => Some((self.until, last)),
            (false, false) => None,
        };
        (left, Some(moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(since: Option<i64>, until: i64, prefixes: &[&str]) -> Reattribute {
        Reattribute {
            organisation: OrganisationId(1),
            from: RegistrationId(1),
            to: RegistrationId(2),
            prefixes: prefixes.iter().map(|text| text.parse().unwrap()).collect(),
            since: since.map(Timestamp::from_secs),
            until: Timestamp::from_secs(until),
            who: "ana".into(),
            reason: "the provider changed a week before we heard".into(),
            begun: Timestamp::from_secs(0),
        }
    }

    #[test]
    fn only_what_the_stored_prefix_proves_is_verified() {
        let order = order(None, 0, &["192.0.2.0/25", "2001:db8:7::/48"]);
        let of = |now, prefix: Option<&str>| order.attribution(now, prefix.map(|text| text.parse().unwrap()));
        assert_eq!(of(Attribution::Verified, Some("192.0.2.0/28")), Attribution::Verified);
        assert_eq!(of(Attribution::OffPrefix, Some("2001:db8:7::/48")), Attribution::Verified, "and back");
        assert_eq!(of(Attribution::Verified, Some("192.0.2.0/24")), Attribution::Declared, "a half of it");
        assert_eq!(of(Attribution::Verified, Some("198.51.100.0/24")), Attribution::OffPrefix);
        for unseen in [Attribution::Declared, Attribution::OffPrefix] {
            assert_eq!(of(unseen, None), unseen);
        }
    }

    #[test]
    fn a_presence_is_cut_where_the_span_ends() {
        let secs = Timestamp::from_secs;
        let split = |since, until| order(since, until, &[]).split((secs(10), secs(20)));
        let span = |from, to| Some((secs(from), secs(to)));
        assert_eq!(split(None, 30), (None, span(10, 20)));
        assert_eq!(split(Some(10), 20), (None, span(10, 20)));
        assert_eq!(split(None, 15), (span(15, 20), span(10, 15)));
        assert_eq!(split(Some(15), 20), (span(10, 15), span(15, 20)));
        assert_eq!(split(Some(12), 15), (span(10, 20), span(12, 15)), "a presence has no holes");
        for (since, until) in [(None, 10), (Some(20), 30), (Some(15), 15)] {
            assert_eq!(split(since, until), (span(10, 20), None));
        }
    }
}
