//! The statistics of comparisons against those of scipy, another implementation by others.

use crate::python::{interpreter, said};
use peerlight_collector::report::compare::{Lost, loss_difference, shift};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
const SCIPY: &str = "scipy>=1.11,<2";
const SCRIPT: &str = include_str!("scipy/statistics.py");

/// Days whose differences lean to one side, with outliers, and what is made of them.
fn shifts(random: &mut StdRng) -> Vec<Value> {
    let cases = (6..40).flat_map(|days| [days; 3]);
    cases
        .map(|days| {
            let differences: Vec<f64> = (0..days)
                .map(|_| {
                    let usual = random.random_range(-4.0..9.0);
                    if random.random_bool(0.1) { usual + random.random_range(-500.0..500.0) } else { usual }
                })
                .collect();
            let found = shift(&differences).unwrap();
            json!({ "days": differences, "value": found.value, "low": found.low, "high": found.high,
                "confidence": found.confidence })
        })
        .collect()
}

fn losses(random: &mut StdRng) -> Vec<Value> {
    (0..200)
        .map(|_| {
            let lost = |random: &mut StdRng| {
                let of = random.random_range(10..100_000);
                Lost { lost: random.random_range(0..=of / 3), of }
            };
            let (one, other) = (lost(random), lost(random));
            let found = loss_difference(one, other).unwrap();
            json!({ "one": [one.lost, one.of], "other": [other.lost, other.of],
                "value": found.value, "low": found.low, "high": found.high })
        })
        .collect()
}

#[test]
fn shifts_and_differences_of_losses_are_those_of_scipy() {
    let python = match interpreter("scipy", SCIPY) {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: no scipy: {why}");
            return;
        }
    };
    let mut random = StdRng::seed_from_u64(20_261_130);
    let (shifts, losses) = (shifts(&mut random), losses(&mut random));
    let cases = json!({ "shifts": shifts, "losses": losses });
    let said = said(&python, SCRIPT, &cases);
    assert_eq!(said.trim(), format!("{} shifts, {} losses agree", shifts.len(), losses.len()));
}
