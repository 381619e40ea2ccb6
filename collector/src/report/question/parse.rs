//! From the parameters of a URL to a question, with everything that is wrong said at once.

use super::{DEFAULT_LAST, Dimension, MAX_SLOTS, MAX_SPAN, Question, start_of_minute};
use crate::{organisation::OrganisationId, rfc3339};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// The parameters that a question may have. `by` and `metric` are repeated or separated by commas, filters repeated.
pub(super) const PARAMETERS: [&str; 10] =
    ["last", "from", "to", "by", "metric", "provider", "location", "site", "target", "step"];
/// The most values of one parameter.
const MAX_VALUES: usize = 64;
const DAY: u64 = 86_400;

pub(super) fn read<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    organisation: OrganisationId,
    now: Timestamp,
) -> (Question, Vec<String>) {
    let mut reader = Reader { parameters: Vec::new(), errors: Vec::new() };
    for (name, value) in parameters {
        if !PARAMETERS.contains(&name) {
            reader.wrong(no_parameter(name, &PARAMETERS));
        } else if reader.values(name).count() == MAX_VALUES {
            reader.wrong(format!("`{name}` has more than {MAX_VALUES} values; ask for fewer"));
        } else {
            reader.parameters.push((name, value.trim()));
        }
    }
    let (from, to, last) = reader.span(now);
    let question = Question {
        organisation,
        from,
        to,
        last,
        by: reader.by(),
        metrics: reader.metrics(),
        providers: reader.names("provider"),
        locations: reader.names("location"),
        sites: reader.names("site"),
        targets: reader.names("target"),
        step: reader.step(to.since(from)),
    };
    (question, reader.errors)
}

/// Takes parameters apart and keeps what is wrong with them.
struct Reader<'a> {
    parameters: Vec<(&'a str, &'a str)>,
    errors: Vec<String>,
}

impl<'a> Reader<'a> {
    fn wrong(&mut self, error: String) {
        if !self.errors.contains(&error) && self.errors.len() < MAX_VALUES {
            self.errors.push(error);
        }
    }

    /// The values of a parameter; an empty one is as if it were not there, because forms send those.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.parameters
            .iter()
            .filter(move |(key, value)| *key == name && !value.is_empty())
            .map(|(_, value)| *value)
    }

    fn names(&self, name: &str) -> BTreeSet<String> {
        let head = |value: &str| value.chars().take(256).collect::<String>().trim_end().to_owned();
        self.values(name).map(head).collect()
    }

    /// The values of a parameter that may be separated by commas.
    fn list(&self, name: &str) -> Vec<&'a str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .collect()
    }

    fn by(&mut self) -> Vec<Dimension> {
        let mut by = Vec::new();
        for name in self.list("by") {
            match Dimension::ALL.into_iter().find(|dimension| dimension.name() == name) {
                Some(dimension) if by.contains(&dimension) => {}
                Some(dimension) => by.push(dimension),
                None => {
                    let known = Dimension::ALL.map(Dimension::name).join(", ");
                    self.wrong(format!("by: `{}` is not one of {known}", short(name)));
                }
            }
        }
        if by.is_empty() { vec![Dimension::Provider] } else { by }
    }

    fn metrics(&mut self) -> BTreeSet<Metric> {
        let mut metrics = BTreeSet::new();
        for name in self.list("metric") {
            match name.parse::<Metric>() {
                Ok(metric) => {
                    metrics.insert(metric);
                }
                Err(error) => self.wrong(format!("metric: {error}")),
            }
        }
        metrics
    }

    fn once(&mut self, name: &str) -> Option<&'a str> {
        let (value, others) = {
            let mut values = self.values(name);
            (values.next(), values.count())
        };
        if others > 0 {
            self.wrong(format!("`{name}` is given more than once"));
        }
        value
    }

    fn span(&mut self, now: Timestamp) -> (Timestamp, Timestamp, Option<Duration>) {
        let (last, from, to) = (self.once("last"), self.once("from"), self.once("to"));
        if last.is_some() && (from.is_some() || to.is_some()) {
            self.wrong("give either `last`, or `from` and `to`".to_owned());
        }
        if from.is_none() && to.is_some() {
            self.wrong("`to` needs `from`".to_owned());
        }
        let Some(from) = from else {
            let last = last.and_then(|text| self.length("last", text)).unwrap_or(DEFAULT_LAST);
            // Measurements are by the minute: a span that began inside one would miss it and still expect its probes.
            return (start_of_minute(now.minus(last)), now, Some(last));
        };
        let from = self.instant("from", from);
        let to = to.map_or(Some(now), |text| self.instant("to", text));
        let (Some(from), Some(to)) = (from, to) else { return (now, now, None) };
        if from >= to {
            self.wrong("`from` is not before `to`".to_owned());
        }
        if to.since(from) > MAX_SPAN {
            self.wrong("the span is longer than 5 years".to_owned());
        }
        (from, to, None)
    }

    fn instant(&mut self, name: &str, text: &str) -> Option<Timestamp> {
        if let Ok(seconds) = text.parse::<i64>() {
            return Some(Timestamp::from_secs(seconds));
        }
        rfc3339::parse(text)
            .map_err(|error| self.wrong(format!("{name}: {error}, or seconds since 1970")))
            .ok()
    }

    fn length(&mut self, name: &str, text: &str) -> Option<Duration> {
        match humantime::parse_duration(text) {
            Ok(length) if length.is_zero() => self.wrong(format!("{name}: must be longer than nothing")),
            Ok(length) if length > MAX_SPAN => self.wrong(format!("{name}: is longer than 5 years")),
            Ok(length) => return Some(length),
            Err(_not_a_length) => {
                self.wrong(format!("{name}: `{}` is not a length of time; write 15m, 1h, 7d …", short(text)));
            }
        }
        None
    }

    fn step(&mut self, span: Duration) -> Option<Duration> {
        let text = self.once("step")?;
        let step = self.length("step", text)?;
        let seconds = step.as_secs();
        if step.subsec_nanos() != 0 || !seconds.is_multiple_of(60) || !DAY.is_multiple_of(seconds) {
            self.wrong(format!(
                "step: `{}` is not whole minutes that divide a day; write 1m, 5m, 15m, 1h, 6h, 1d …",
                short(text)
            ));
            return None;
        }
        if span.as_secs() / seconds > MAX_SLOTS {
            self.wrong(format!(
                "step: the span has more than {MAX_SLOTS} slots of `{}`; choose a longer one",
                short(text)
            ));
        }
        Some(step)
    }
}

/// Tells of a parameter that there is none of.
pub(super) fn no_parameter(name: &str, names: &[&str]) -> String {
    format!("`{}` is not a parameter; the parameters are {}", short(name), names.join(", "))
}

/// The head of a text that someone else wrote.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
