//! The controls of a page about measurements: its span, and selectors for what it is about. A form without a script: what
//! is chosen stands in the address.

use super::{frame::address, ground::Names};
use peerlight_proto::duration;
use std::time::Duration;

/// The parameters of a page, as its own address has them.
pub(crate) type Parameters = Vec<(&'static str, String)>;

/// What may be removed one by one.
const FILTERS: [&str; 4] = ["provider", "location", "site", "target"];
const SPAN: [&str; 3] = ["last", "from", "to"];

/// The controls.
#[derive(Debug, Clone)]
pub(crate) struct Controls {
    pub(crate) action: &'static str,
    pub(crate) spans: Vec<Choice>,
    /// Whether the span may be one of its own.
    pub(crate) takes_instants: bool,
    /// The span as two instants, where it is one of its own.
    pub(crate) own_span: Option<(String, String)>,
    /// What the form for another span keeps.
    pub(crate) beside_span: Vec<(&'static str, String)>,
    pub(crate) selects: Vec<Select>,
    /// What the form keeps of the question: everything that it has no control for.
    pub(crate) hidden: Vec<(&'static str, String)>,
    pub(crate) filters: Vec<Filter>,
}

/// One of several values, and the address that chooses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) href: String,
    pub(crate) chosen: bool,
}

/// A selector.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) options: Vec<Choice>,
}

/// A filter that can be removed.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) text: String,
    pub(crate) href: String,
}

/// A value of a selector.
pub(crate) fn option(value: &str, label: &str) -> Choice {
    Choice { value: value.to_owned(), label: label.to_owned(), href: String::new(), chosen: false }
}

/// A selector with `any` before its names.
pub(crate) fn any_of<'a>(
    name: &'static str,
    label: &'static str,
    names: impl IntoIterator<Item = &'a String>,
) -> Select {
    let options = names.into_iter().map(|name| option(name, name));
    Select { name, label, options: std::iter::once(option("", "any")).chain(options).collect() }
}

/// The selectors that most pages have.
pub(crate) fn usual(names: &Names, of: &[&str]) -> Vec<Select> {
    let metrics = names.metrics.iter().map(|metric| option(&metric.to_string(), &metric.to_string()));
    let all = [
        Select { name: "metric", label: "Metric", options: metrics.collect() },
        any_of("provider", "Provider", &names.providers),
        any_of("location", "Location", &names.locations),
        any_of("target", "Target", &names.targets),
    ];
    all.into_iter().filter(|select| of.contains(&select.name)).collect()
}

impl Controls {
    /// Of a page at `action` whose address has these parameters.
    pub(crate) fn new(
        action: &'static str,
        parameters: &Parameters,
        spans: &[(&str, Duration)],
        selects: Vec<Select>,
    ) -> Self {
        let of = |name: &str| {
            parameters.iter().filter(|(known, _)| *known == name).map(|(_, value)| value).collect::<Vec<_>>()
        };
        let last = of("last").first().copied();
        let beside_span: Parameters =
            parameters.iter().filter(|(name, _)| !SPAN.contains(name) && *name != "step").cloned().collect();
        let span_of = |(label, span): &(&str, Duration)| {
            let there = [("last", duration::text(*span))];
            Choice {
                value: (*label).to_owned(),
                label: (*label).to_owned(),
                href: address(action, there.iter().chain(&beside_span)),
                chosen: last.is_some_and(|last| *last == duration::text(*span)),
            }
        };
        // Where several are chosen, each can be removed; one is chosen by the selector.
        let (several, selects): (Vec<_>, Vec<_>) =
            selects.into_iter().partition(|select| of(select.name).len() > 1);
        let named: Vec<_> = selects.iter().map(|select| select.name).collect();
        let several: Vec<_> = several.iter().map(|select| select.name).collect();
        let removable = |(at, (name, value)): (usize, &(&'static str, String))| {
            let shown = FILTERS.contains(name) && (several.contains(name) || !named.contains(name));
            shown.then(|| {
                let others = parameters.iter().enumerate().filter(|(other, _)| *other != at);
                let others: Vec<_> = others.map(|(_, pair)| pair.clone()).collect();
                Filter { text: format!("{name}: {value}"), href: address(action, &others) }
            })
        };
        Self {
            action,
            spans: spans.iter().map(span_of).collect(),
            takes_instants: true,
            own_span: of("from")
                .first()
                .zip(of("to").first())
                .map(|(from, to)| ((*from).clone(), (*to).clone())),
            filters: parameters.iter().enumerate().filter_map(removable).collect(),
            hidden: parameters
                .iter()
                .filter(|(name, _)| !named.contains(name) && *name != "step")
                .cloned()
                .collect(),
            selects: selects.into_iter().map(|select| chosen(select, parameters)).collect(),
            beside_span,
        }
    }
}

/// The selector with what is chosen, which is offered even if it is not there.
fn chosen(mut select: Select, parameters: &Parameters) -> Select {
    let value = parameters.iter().find(|(name, _)| *name == select.name).map_or("", |(_, value)| value);
    for option in &mut select.options {
        option.chosen = option.value.eq_ignore_ascii_case(value);
    }
    if !value.is_empty() && !select.options.iter().any(|option| option.chosen) {
        select.options.push(Choice { chosen: true, ..option(value, value) });
    }
    select
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPANS: [(&str, Duration); 2] = [("1h", Duration::from_hours(1)), ("24h", Duration::from_hours(24))];

    fn controls(parameters: &[(&'static str, &str)]) -> Controls {
        let parameters = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let providers = ["Aurora".to_owned(), "Borealis".to_owned()];
        Controls::new("/series", &parameters, &SPANS, vec![any_of("provider", "Provider", &providers)])
    }

    #[test]
    fn one_name_is_chosen_by_its_selector_and_several_are_removed_one_by_one() {
        let one = controls(&[("last", "1h"), ("provider", "borealis"), ("site", "leeds-1")]);
        let options: Vec<_> = one.selects[0].options.iter().map(|option| option.chosen).collect();
        assert_eq!(options, [false, false, true]);
        assert_eq!(one.hidden, [("last", "1h".to_owned()), ("site", "leeds-1".to_owned())]);
        assert_eq!(one.filters.len(), 1);
        assert_eq!(one.filters[0].href, "/series?last=1h&provider=borealis");
        let several = controls(&[("provider", "Aurora"), ("provider", "Borealis")]);
        assert!(several.selects.is_empty());
        assert_eq!((several.hidden.len(), several.filters.len()), (2, 2));
        assert_eq!(several.filters[0].href, "/series?provider=Borealis");
    }

    #[test]
    fn another_span_keeps_the_question_but_not_the_length_of_slots() {
        let found = controls(&[("from", "a"), ("to", "b"), ("step", "1m"), ("provider", "Aurora")]);
        assert_eq!(found.own_span, Some(("a".to_owned(), "b".to_owned())));
        assert_eq!(found.spans[1].href, "/series?last=1d&provider=Aurora");
        assert!(!found.spans[1].chosen && controls(&[("last", "1d")]).spans[1].chosen);
    }

    #[test]
    fn a_name_that_is_not_there_stays_chosen() {
        let options = controls(&[("provider", "Zephyr")]).selects.remove(0).options;
        assert!(options.last().is_some_and(|last| last.chosen && last.value == "Zephyr"));
    }
}
