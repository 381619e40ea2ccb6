//! What is asked in Azure's shape: of one location, by day.

use super::ProviderLocation;
use crate::{
    organisation::OrganisationId,
    report::{Dimension, Question, compare::DEFAULT_METRIC},
    store::slot_of,
};
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// The span of a question that names none: as much as Azure has.
pub const DEFAULT_LAST: Duration = Duration::from_hours(30 * 24);
const DAY: Duration = Duration::from_hours(24);
/// The parameters that a question may have.
const PARAMETERS: [&str; 7] = ["last", "from", "to", "metric", "provider", "location", "target"];

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct AzureReachabilityQuestion {
    question: Question,
    place: ProviderLocation,
}

impl AzureReachabilityQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (mut question, mut errors, given) =
            Question::read_some(&PARAMETERS, parameters, organisation, now);
        if !given.contains("last") && !given.contains("from") {
            question.last = Some(DEFAULT_LAST);
            question.from = question.to.minus(DEFAULT_LAST);
        }
        // Whole days, of which the last may not be over.
        question.from = slot_of(question.from, DAY);
        question.step = Some(DAY);
        question.by = vec![Dimension::Provider, Dimension::Target];
        match question.metrics.len() {
            0 => question.metrics = [DEFAULT_METRIC].into(),
            1 => {}
            _ => errors.push("metric: Azure's shape has room for one".to_owned()),
        }
        if question.locations.len() != 1 {
            errors
                .push("location: Azure's shape is of one place; name one location, or a country".to_owned());
        }
        let place = question.locations.first().and_then(|code| place(code));
        // What is no code is named by whoever knows the locations.
        let place = place.unwrap_or(ProviderLocation { country: String::new(), state: None });
        (Self { question, place }, errors)
    }

    /// The question of the report of latency that holds the figures, and the place in words.
    pub fn into_parts(self) -> (Question, ProviderLocation) {
        (self.question, self.place)
    }
}

/// A code of ISO 3166 in words.
fn place(code: &str) -> Option<ProviderLocation> {
    let code = code.to_uppercase();
    let country = rust_iso3166::from_alpha2(code.get(..2)?)?.name.to_owned();
    let state = rust_iso3166::iso3166_2::from_code(&code).map(|state| state.name.to_lowercase());
    Some(ProviderLocation { country, state })
}
