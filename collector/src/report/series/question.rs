//! What is asked of series: what every report is asked, with a length of slots that the span decides unless it is given.

use crate::{
    organisation::OrganisationId,
    report::{
        Groups, Question,
        compare::DEFAULT_METRIC,
        question::MAX_SLOTS,
        slots::{MOST_SLOTS, step_within},
    },
    store::Presences,
};
use hashbrown::HashSet;
use peerlight_proto::time::Timestamp;

/// The most slots of all series together: each holds a distribution.
pub const MAX_CELLS: u64 = 20_000;
/// The parameters that a question may have.
const PARAMETERS: [&str; 10] =
    ["last", "from", "to", "by", "metric", "provider", "location", "site", "target", "step"];

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesQuestion {
    question: Question,
}

impl SeriesQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (question, errors, _given) = Question::read_some(&PARAMETERS, parameters, organisation, now);
        (Self::of(question), errors)
    }

    /// This question over time.
    pub fn of(mut question: Question) -> Self {
        if question.metrics.is_empty() {
            question.metrics.insert(DEFAULT_METRIC);
        }
        let span = question.to.since(question.from);
        question.step.get_or_insert_with(|| step_within(span, MOST_SLOTS));
        Self { question }
    }

    /// What is asked for, as every report reads it. It has a step.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Why this is too much for one answer, given what was measured, if it is.
    pub fn too_much(&self, groups: &Groups, presence: &Presences) -> Option<String> {
        let Question { from, to, step, .. } = self.question;
        let slots = to.since(from).as_secs() / step.map_or(1, |step| step.as_secs().max(1)) + 1;
        let wanted = presence.iter().filter(|seen| {
            self.question.wants_metric(seen.shape.metric)
                && groups.registration(seen.registration).is_some_and(|entry| self.question.wants(entry))
                && self.question.wants_target(&seen.shape.target)
                && seen.first < to
                && from < seen.last
        });
        let series: HashSet<_> =
            wanted.map(|seen| (groups.key(seen.registration, seen.shape, None), seen.shape.metric)).collect();
        let cells = slots.saturating_mul(series.len() as u64);
        // A single series may have as many slots as any question.
        (cells > MAX_CELLS.max(MAX_SLOTS)).then(|| {
            format!(
                "{} series of {slots} slots are more than the {MAX_CELLS} slots that one answer holds; name providers, \
                 locations, sites, targets or metrics, or choose a longer step",
                series.len()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn read(query: &str) -> (Question, Vec<String>) {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        let (asked, errors) = SeriesQuestion::read(pairs, OrganisationId::DEFAULT, NOW);
        (asked.question, errors)
    }

    #[test]
    fn the_span_decides_the_length_of_slots_unless_it_is_given() {
        let minutes = |query: &str| read(query).0.step.unwrap().as_secs() / 60;
        assert_eq!(["", "last=24h", "last=7d", "last=30d"].map(minutes), [1, 15, 60, 360]);
        assert_eq!(minutes("last=24h&step=5m"), 5);
        assert_eq!(read("").0.metrics, [DEFAULT_METRIC].into());
        assert_eq!(read("last=5h&days=all").1.len(), 1);
    }
}
