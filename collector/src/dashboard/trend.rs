//! A report beside its course in slots and beside the span before: what the trends and changes of a page are drawn of.

use super::ground::Ground;
use crate::{
    api::reports::ReportError,
    app::App,
    report::{Question, Report, slots::brief_step_within},
};
use peerlight_proto::time::Timestamp;
use std::time::Duration;
use tokio::try_join;

/// The most slots of a trend: more would be narrower than a pixel or two.
const MOST_SLOTS: u64 = 60;
/// Longer spans are not compared with the span before: it would take as long again.
const LONGEST_BEFORE: Duration = Duration::from_hours(7 * 24);

/// Three answers to one question.
pub(super) struct Trend {
    /// Over its whole span.
    pub(super) report: Report,
    /// In slots.
    pub(super) course: Report,
    /// The length of those.
    pub(super) step: Duration,
    /// Over the span before, where that is short enough to be compared with.
    pub(super) before: Option<Report>,
}

impl Trend {
    /// Asks the store.
    pub(super) async fn find(
        app: &App,
        question: &Question,
        ground: &Ground,
        now: Timestamp,
    ) -> Result<Self, ReportError> {
        let span = question.to.since(question.from);
        let step = brief_step_within(span, MOST_SLOTS);
        let course = Question { step: Some(step), ..question.clone() };
        let before = async {
            if span > LONGEST_BEFORE {
                return Ok(None);
            }
            let (from, to) = (question.from.minus(span), question.from);
            let before = Question { from, to, last: None, ..question.clone() };
            ground.latency(app, before, now).await.map(Some)
        };
        let (report, course, before) =
            try_join!(ground.latency(app, question.clone(), now), ground.latency(app, course, now), before)?;
        Ok(Self { report, course, step, before })
    }
}
