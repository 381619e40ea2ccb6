//! What charts show, and what they leave out.

use super::*;
use crate::{
    organisation::OrganisationId,
    report::{
        Question,
        fixture::{Evidence, Measured, answer, registration, row, series},
    },
};
use peerlight_proto::metric::Metric;

const MINUTE: Duration = Duration::from_mins(1);

fn report(rows: &[Measured]) -> Report {
    let question = Question {
        from: Timestamp::from_secs(0),
        to: Timestamp::from_secs(600),
        step: Some(MINUTE),
        ..Question::new(OrganisationId::DEFAULT, Timestamp::from_secs(600))
    };
    let registrations = [registration(1, "Aurora <&>", "GB-LND"), registration(2, "Borealis", "GB-LND")];
    answer(&question, &Evidence { rows, registrations: &registrations, ..Evidence::default() }, question.to)
}

fn slot(registration: i64, minute: i64, values_us: &[u64], lost: u64) -> Measured {
    let made = row(registration, &series(Metric::TcpConnect, "edge"), values_us, lost);
    Measured { slot: Timestamp::from_secs(60 * minute), ..made }
}

#[test]
fn a_gap_in_the_measurements_is_a_gap_in_the_line() {
    let rows: Vec<Measured> =
        [0, 1, 2, 5, 7, 8].into_iter().map(|minute| slot(1, minute, &[9_000; 30], 0)).collect();
    let charts = charts(&report(&rows), MINUTE, title);
    let [chart] = charts.as_slice() else { panic!("{charts:?}") };
    assert_eq!((chart.p50.paths.len(), chart.p50.points.len(), chart.bands.len()), (2, 1, 2));
    assert_eq!((chart.sent.len(), chart.slots.len()), (6, 10));
    assert_eq!((chart.slots[3].sent, chart.slots[3].p50.as_str()), (0, "–"));
}

#[test]
fn too_few_samples_draw_no_percentile() {
    let charts = charts(&report(&[slot(1, 0, &[9_000; 12], 0), slot(1, 1, &[9_000; 12], 0)]), MINUTE, title);
    assert_eq!((charts[0].p50.paths.len(), charts[0].p95.paths.len()), (1, 0));
}

#[test]
fn charts_share_their_axes_and_lost_probes_are_marked() {
    let charts =
        charts(&report(&[slot(1, 0, &[9_000; 30], 10), slot(2, 0, &[40_000; 30], 0)]), MINUTE, title);
    assert_eq!((charts[0].title.as_str(), charts[1].title.as_str()), ("Aurora <&>", "Borealis"));
    assert_eq!((&charts[0].y_ticks, &charts[0].loss_top), (&charts[1].y_ticks, &charts[1].loss_top));
    assert_eq!((charts[0].loss.len(), charts[1].loss.len()), (1, 0));
    assert_eq!((charts[0].loss[0].height.as_str(), charts[0].loss_top.as_str()), ("26.0", "25.0%"));
    assert!(charts[0].desc.contains("median between 9.00 and 9.00 ms"), "{}", charts[0].desc);
}
