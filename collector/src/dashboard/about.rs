//! What a page about measurements says of itself: of which metric and span it is, and how old its newest figure is.

use super::{controls::Parameters, frame::address, view::SPANS};
use crate::{
    report::{ON_ITS_WAY, Question},
    rfc3339,
};
use peerlight_proto::{duration, time::Timestamp};
use std::time::Duration;

/// How often an open page asks for what is new.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(10);

/// What stands at the head of a page.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) metric: String,
    pub(crate) span: String,
    pub(crate) age: Option<Age>,
    /// The same over the longest span that is one click away, unless this is it.
    pub(crate) wider: Option<String>,
    /// Whether the span ends before now, with what must have arrived.
    pub(crate) lags: bool,
    /// The end of the span.
    pub(super) to: Timestamp,
}

/// How old the newest measurement is.
#[derive(Debug, Clone)]
pub(crate) struct Age {
    pub(crate) iso: String,
    pub(crate) words: String,
    pub(crate) stale: bool,
}

impl About {
    /// What a page at `path` with these parameters says of its question.
    pub(crate) fn of(question: &Question, path: &str, parameters: &Parameters) -> Self {
        let month = SPANS.last().map(|(_, last)| *last).filter(|last| question.last != Some(*last));
        let wider = month.map(|last| {
            let others = parameters.iter().filter(|(name, _)| !["last", "from", "to", "step"].contains(name));
            let there = [("last", duration::text(last))];
            address(path, there.iter().chain(others))
        });
        let metrics: Vec<_> = question.metrics.iter().map(ToString::to_string).collect();
        Self {
            metric: metrics.join(", "),
            span: span(question),
            age: None,
            wider,
            lags: false,
            to: question.to,
        }
    }

    /// The same of a page that looks at no more than what must have arrived: where its span ends before now, that is said.
    pub(crate) fn up_to(self, question: &Question) -> Self {
        let until = question.last.map(|_| rfc3339::seconds(question.to));
        let until = until.map(|until| format!("{} until {until}", self.span));
        Self { lags: until.is_some(), span: until.unwrap_or(self.span), ..self }
    }

    /// The same where it is known until when there are measurements.
    pub(crate) fn measured(self, until: Option<Timestamp>, now: Timestamp) -> Self {
        // Nothing newer can be missed in a span that is over.
        let due = self.to.min(now);
        Self { age: until.map(|until| age(until, due, now)), ..self }
    }
}

/// How often a page of this question is renewed, in seconds: one that has an end does not change.
pub(crate) fn renew_every(question: &Question) -> u64 {
    if question.last.is_some() { RENEW_EVERY.as_secs() } else { 0 }
}

/// A span in words.
pub(crate) fn span(question: &Question) -> String {
    if let Some(last) = question.last {
        let named = SPANS.iter().find(|(_, span)| *span == last).map(|(label, _)| (*label).to_owned());
        return format!("last {}", named.unwrap_or_else(|| duration::text(last)));
    }
    format!("{} to {}", rfc3339::seconds(question.from), rfc3339::seconds(question.to))
}

/// How long ago something was, in one unit.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn age(until: Timestamp, due: Timestamp, now: Timestamp) -> Age {
    Age { iso: rfc3339::text(until), words: ago(until, now), stale: due.since(until) > ON_ITS_WAY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::organisation::OrganisationId;

    #[test]
    fn only_a_page_that_reaches_now_can_be_stale() {
        let now = Timestamp::from_secs(1_790_000_000);
        let before = |minutes| now.minus(Duration::from_mins(minutes));
        let is_stale = |question: &Question, until| {
            About::of(question, "/", &Parameters::new()).measured(Some(until), now).age.unwrap().stale
        };
        let recent = Question::new(OrganisationId::DEFAULT, now);
        assert!(!is_stale(&recent, before(1)));
        assert!(is_stale(&recent, before(60)));
        let past = Question { to: before(60), last: None, ..recent };
        assert!(!is_stale(&past, before(60)));
        assert!(is_stale(&past, before(120)), "it was silent at the end of that span, too");
    }
}
