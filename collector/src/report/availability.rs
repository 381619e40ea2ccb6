//! Availability: how much of the time targets answered, and the outages, told apart from the times in which an agent was
//! silent or sent nothing. Pure.
//!
//! Every agent's schedule of a target is looked at by itself. A minute in which probes left and none was answered is an
//! outage if with its neighbours it holds at least [`FEWEST_UNANSWERED`] unanswered probes, else it is undecided; a late
//! answer is an answer. What an agent did not account for is silence and what it could not send is not measured: neither
//! says anything of the network. A quarter hour is looked at by the minute only where one of its minutes may be of another
//! state than the rest, and where minutes have expired an outage shorter than a quarter hour cannot be seen.

mod merge;
mod observing;
mod question;
mod row;
mod state;
#[cfg(test)]
mod tests;
mod timeline;
mod units;

pub use observing::Closer;
pub use question::{AvailabilityQuestion, DEFAULT_LAST, DEFAULT_METRICS};
pub use row::{AgentTimes, Availability, AvailabilityRow, Gap, GapKind, MAX_LISTED, Outage};
pub use state::FEWEST_UNANSWERED;
pub use units::{Few, Units};

use super::{Asked, Groups, asked, coverage, silence::Silences};
use crate::{
    registry::{AgentEntry, Registrations},
    rfc3339,
    store::{Presences, Present, Query, Row},
};
use observing::{Courses, MAX_SCHEDULES};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How the figures are to be read.
const METHOD: &str = "each agent's minutes in which probes of a target left: answered, unanswered (an outage from 3 unanswered \
    probes in a row on), or undecided; refused, unsent and silent times count neither way; intervals of 95 % within this \
    sample, undecided times at their worst and best: minutes that follow one another are correlated";

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AvailabilityReport {
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub generated_at: Timestamp,
    /// The first instant of its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after its span: what was measured since may be on its way.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// What was asked.
    pub question: Asked,
    /// How the figures are come to.
    pub method: String,
    /// One row for each group and metric.
    pub rows: Vec<AvailabilityRow>,
}

/// An answer while the store's come in, part by part, so that no more than a part is held.
#[derive(Debug)]
pub struct Observing {
    asked: AvailabilityQuestion,
    registrations: Registrations,
    units: Arc<Units>,
    courses: Courses,
}

/// What an answer rests on, beside what the store answers.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Every registration of the organisation.
    pub registrations: &'a Registrations,
    /// The organisation's agents that were revoked.
    pub agents: &'a [AgentEntry],
    /// When agents measured what.
    pub presence: &'a Presences,
    /// The first instant that minutes are kept from.
    pub minutes_from: Timestamp,
}

impl Observing {
    /// Begins, or says why the question asks for too much at once.
    pub fn new(
        asked: AvailabilityQuestion,
        ground: Ground<'_>,
        silences: Silences,
        now: Timestamp,
    ) -> Result<Self, String> {
        let Ground { registrations, agents, presence, minutes_from } = ground;
        let question = asked.question.clone();
        let groups = Groups::new(question, registrations.clone(), presence).with_silences(silences);
        let schedules = {
            let question = groups.question();
            let wanted = |seen: Present<'_>| {
                question.wants_metric(seen.shape.metric)
                    && groups.registration(seen.registration).is_some_and(|entry| question.wants(entry))
                    && question.wants_target(&seen.shape.target)
                    && seen.first < question.to
            };
            let ended = |id| groups.registration(id).and_then(|entry| entry.valid_to);
            coverage::schedules(presence, wanted, ended, agents, now)
        };
        let schedules: Vec<_> = schedules
            .into_iter()
            .filter(|schedule| !schedule.spans(asked.question.from, asked.question.to).is_empty())
            .collect();
        if schedules.len() > MAX_SCHEDULES {
            return Err(format!(
                "{} schedules of agents and targets are more than the {MAX_SCHEDULES} that one answer looks at; name providers, \
                 locations, sites, targets or metrics",
                schedules.len()
            ));
        }
        let units = Units::new(groups);
        let courses = Courses::new(&asked, &schedules, &units, minutes_from);
        Ok(Self { asked, registrations: registrations.clone(), units: Arc::new(units), courses })
    }

    /// What the store groups its answers by.
    pub fn units(&self) -> Arc<Units> {
        Arc::clone(&self.units)
    }

    /// What the store is asked, in this order.
    pub fn parts(&self) -> Vec<Query> {
        let whole = self.asked.question.query(&self.registrations);
        let part = |(from, to)| Query {
            from,
            to,
            metrics: self.asked.question.metrics.clone(),
            step: Some(question::QUARTER_HOUR),
            ..whole.clone()
        };
        self.courses.parts().into_iter().map(part).collect()
    }

    /// What of a part has to be looked at by the minute: [`Closer::asks`] are asked before it is taken.
    pub fn closer(&self, rows: &[Row]) -> Closer {
        self.courses.closer(rows, &self.units)
    }

    /// Takes the answer to the next of [`Self::parts`], and the minutes that were asked for it.
    pub fn take(&mut self, rows: Vec<Row>, minutes: Vec<Row>, closer: &Closer) {
        self.courses.take(rows, minutes, closer);
    }

    /// The answer.
    pub fn finish(self, now: Timestamp) -> AvailabilityReport {
        let question = &self.asked.question;
        AvailabilityReport {
            generated_at: now,
            from: question.from,
            to: question.to,
            question: asked(question),
            method: METHOD.to_owned(),
            rows: row::rows(&self.courses, &self.units, question.to),
        }
    }
}

impl Closer {
    /// What the store is asked for the minutes of this part, and what it groups them by.
    pub fn asks(&self, part: &Query, observing: &Observing) -> Vec<(Query, Arc<Few>)> {
        self.queries(part, &observing.units)
    }
}
