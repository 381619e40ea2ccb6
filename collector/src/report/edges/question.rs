//! What is asked of front doors: what every report is asked but the metric, with a length of slots that the span decides unless it is
//! given. Physics is asked the same.

use crate::{
    organisation::OrganisationId,
    report::{
        Dimension, Question, question::start_of_minute, series::SeriesQuestion, served,
        slots::brief_step_within,
    },
};
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// The span of a question that names none.
pub const DEFAULT_LAST: Duration = Duration::from_hours(24);
const DEFAULT_BY: [Dimension; 3] = [Dimension::Provider, Dimension::Location, Dimension::Target];
/// What [`EdgesQuestion::coarser`] groups by, …
const COARSER_BY: [Dimension; 2] = [Dimension::Provider, Dimension::Location];
/// … in so many slots at most.
const COARSER_SLOTS: u64 = 48;
/// The parameters that a question may have.
const PARAMETERS: [&str; 9] = ["last", "from", "to", "by", "provider", "location", "site", "target", "step"];

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgesQuestion {
    slotted: SeriesQuestion,
}

impl EdgesQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (mut question, errors, given) = Question::read_some(&PARAMETERS, parameters, organisation, now);
        if !given.contains("by") {
            question.by = DEFAULT_BY.to_vec();
        }
        // A front door is near or far from a location, so that rows of more than one would have no distance.
        if !question.by.contains(&Dimension::Location) {
            question.by.push(Dimension::Location);
        }
        if !given.contains("last") && !given.contains("from") {
            question.last = Some(DEFAULT_LAST);
            question.from = start_of_minute(question.to.minus(DEFAULT_LAST));
        }
        question.metrics = [served::METRIC].into();
        (Self { slotted: SeriesQuestion::of(question) }, errors)
    }

    /// The same by provider and location alone and in fewer slots: of a fleet, every target's are more than one answer holds.
    #[must_use]
    pub fn coarser(&self) -> Self {
        let mut question = self.slotted.question().clone();
        question.by = COARSER_BY.to_vec();
        question.step = Some(brief_step_within(question.to.since(question.from), COARSER_SLOTS));
        Self { slotted: SeriesQuestion::of(question) }
    }

    /// What is asked for, slot by slot, as series are asked.
    pub fn slotted(&self) -> &SeriesQuestion {
        &self.slotted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerlight_proto::metric::Metric;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn read(query: &str) -> (Question, Vec<String>) {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        let (asked, errors) = EdgesQuestion::read(pairs, OrganisationId::DEFAULT, NOW);
        (asked.slotted.question().clone(), errors)
    }

    #[test]
    fn nothing_asks_for_a_day_of_connects_and_the_location_is_always_told() {
        let (question, errors) = read("");
        assert_eq!((errors.len(), question.by.as_slice()), (0, &DEFAULT_BY[..]));
        assert_eq!(question.metrics, [Metric::HttpsTcp].into());
        assert_eq!(NOW.since(question.from).as_secs() / 3600, 24);
        assert_eq!(question.step, Some(Duration::from_mins(15)));
        assert_eq!(read("by=site").0.by, [Dimension::Site, Dimension::Location]);
        assert_eq!(read("last=1h&step=5m").0.step, Some(Duration::from_mins(5)));
        let coarser = |query: &str| {
            let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
            let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let coarser = EdgesQuestion::read(pairs, OrganisationId::DEFAULT, NOW).0.coarser();
            coarser.slotted.question().clone()
        };
        assert_eq!(coarser("last=24h&provider=A").step, Some(Duration::from_hours(1)));
        assert_eq!(coarser("last=30d").step, Some(Duration::from_hours(24)));
        assert_eq!(coarser("last=24h&provider=A").by, COARSER_BY);
        assert_eq!(coarser("last=24h&provider=A").providers, ["A".to_owned()].into());
        assert!(read("metric=icmp.rtt").1[0].contains("`metric` is not a parameter"));
    }
}
