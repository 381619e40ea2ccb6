//! Matching: which causes belong to which alerts, so that one cause never has two.

use crate::alert::{
    Alert, Spot,
    blame::{Cause, Judged},
};
use std::collections::BTreeSet;

/// What is whose.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// For each alert, in their order.
    pub(super) claimed: Vec<Claim>,
    /// Causes, by their place, with the bad spots that no alert has.
    pub(super) fresh: Vec<(usize, BTreeSet<Spot>)>,
}

/// What is an alert's.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// What is bad of it.
    pub(super) spots: BTreeSet<Spot>,
    /// The cause, by its place, that explains all of it.
    pub(super) cause: Option<usize>,
    /// Whether that cause explains more than its culprit covers.
    pub(super) takes_in: bool,
    /// The alert that has the same cause and was there first.
    pub(super) part_of: Option<u64>,
}

/// Deals out what is bad. `told` are the alerts that people know of in the order of their precedence: what the first one covers
/// is no other's.
pub(super) fn claims(told: &[Alert], judged: &[Judged], causes: &[Cause]) -> Claims {
    let mut free: BTreeSet<&Spot> = judged.iter().filter(|one| one.bad).map(|one| &one.spot).collect();
    let mut claims = Claims::default();
    for alert in told {
        let covers = |one: &&Judged| one.bad && alert.culprit.covers(&one.spot, one.edge.as_deref());
        let spots = judged.iter().filter(covers).map(|one| &one.spot).filter(|spot| free.contains(spot));
        let spots: BTreeSet<Spot> = spots.cloned().collect();
        free.retain(|spot| !spots.contains(*spot));
        claims.claimed.push(Claim { spots, ..Claim::default() });
    }
    for (place, cause) in causes.iter().enumerate() {
        let rest: BTreeSet<Spot> = cause.spots.iter().filter(|spot| free.contains(spot)).cloned().collect();
        free.retain(|spot| !rest.contains(*spot));
        join(&mut claims, told, (place, cause), rest);
    }
    claims
}

/// Gives a cause to the first alert all of which it explains, and ends the others that it explains as parts of that one.
fn join(claims: &mut Claims, told: &[Alert], (place, cause): (usize, &Cause), rest: BTreeSet<Spot>) {
    let mut explained = claims
        .claimed
        .iter_mut()
        .zip(told)
        .filter(|(claim, _)| !claim.spots.is_empty() && claim.spots.is_subset(&cause.spots));
    let Some((first, alert)) = explained.next() else {
        if !rest.is_empty() {
            claims.fresh.push((place, rest));
        }
        return;
    };
    first.cause = Some(place);
    let mut taken = rest;
    for (other, _) in explained {
        taken.append(&mut other.spots);
        other.part_of = Some(alert.id);
    }
    first.takes_in = !taken.is_empty();
    first.spots.append(&mut taken);
}
