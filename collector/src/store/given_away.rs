//! What of a registration's time was given to another one by re-attribution: nothing is expected of it there. Pure.

use super::reattribution::{Reattribute, Span};
use crate::registry::RegistrationId;
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// The spans that each registration gave away and did not get back, in order and apart, after `orders` one after another.
pub(super) fn given_away<'a>(
    orders: impl IntoIterator<Item = &'a Reattribute>,
) -> BTreeMap<RegistrationId, Arc<[Span]>> {
    let mut given: BTreeMap<RegistrationId, Vec<Span>> = BTreeMap::new();
    for order in orders {
        let span = (order.since.unwrap_or(Timestamp::from_secs(0)), order.until);
        let of_source = given.entry(order.from).or_default();
        take_out(of_source, span);
        of_source.push(span);
        of_source.sort_unstable();
        take_out(given.entry(order.to).or_default(), span);
    }
    given.retain(|_registration, spans| !spans.is_empty());
    given.into_iter().map(|(registration, spans)| (registration, spans.into())).collect()
}

/// Leaves of `spans` what lies outside `span`.
fn take_out(spans: &mut Vec<Span>, span: Span) {
    let outside = |(from, to): Span| [(from, to.min(span.0)), (from.max(span.1), to)];
    *spans = spans.iter().copied().flat_map(outside).filter(|(from, to)| from < to).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::organisation::OrganisationId;
    use proptest::prelude::*;

    fn order((from, to, since, length): (i64, i64, i64, i64)) -> Reattribute {
        Reattribute {
            organisation: OrganisationId(1),
            from: RegistrationId(from),
            to: RegistrationId(to),
            prefixes: Vec::new(),
            since: (since > 0).then_some(Timestamp::from_secs(since)),
            until: Timestamp::from_secs(since + length),
            who: "ana".into(),
            reason: "a test".into(),
            begun: Timestamp::from_secs(0),
        }
    }

    proptest! {
        #[test]
        fn each_second_is_given_away_by_the_last_order_that_speaks_of_it(
            orders in prop::collection::vec((1_i64..4, 1_i64..4, 0_i64..20, 1_i64..20), 0..8),
        ) {
            let orders: Vec<_> = orders.into_iter().filter(|(from, to, ..)| from != to).map(order).collect();
            let given = given_away(&orders);
            for registration in (1..4).map(RegistrationId) {
                let spans = given.get(&registration).cloned().unwrap_or_default();
                prop_assert!(spans.is_sorted_by(|a, b| a.1 <= b.0), "{spans:?}");
                for second in (0..40).map(Timestamp::from_secs) {
                    let mut gone = false;
                    for order in &orders {
                        if order.since.is_none_or(|since| since <= second) && second < order.until {
                            gone = (gone || order.from == registration) && order.to != registration;
                        }
                    }
                    let found = spans.iter().any(|(from, to)| (*from..*to).contains(&second));
                    prop_assert_eq!(found, gone, "{:?} at {:?}", registration, second);
                }
            }
        }
    }
}
