//! The difference between the collector's clock and this machine's, as far as exchanges tell (Cristian's algorithm, 1989).
//!
//! The collector read its clock at some instant between question and answer, so each exchange bounds the offset from both
//! sides. Bounds of several exchanges narrow each other; a slow handshake is a wide bound, never a wrong offset.

use peerlight_proto::time::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};

/// How fast two clocks may drift apart: what NTP slews by, in parts per million.
const MAX_DRIFT_PPM: i64 = 500;

/// When a question left and when its answer was there, by this machine's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the question was about to leave.
    pub asked: Timestamp,
    /// When the answer was there.
    pub answered: Timestamp,
}

/// Collector time minus this machine's wall clock. A cheap shared handle.
#[derive(Debug, Clone, Default)]
pub struct Offset(Arc<Mutex<Option<Bounds>>>);

/// The offset is within these, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: i64,
    most: i64,
    /// When they were last found to hold.
    at: Timestamp,
}

impl Bounds {
    fn of(collector: Timestamp, window: Window) -> Self {
        Self {
            least: collector.micros_after(window.answered),
            most: collector.micros_after(window.asked),
            at: window.answered,
        }
    }

    /// These bounds as far as `earlier` ones still hold; alone where they contradict: then a clock was set.
    fn narrowed_by(self, earlier: Self) -> Self {
        let drift = self.at.micros_after(earlier.at).saturating_mul(MAX_DRIFT_PPM) / 1_000_000;
        let least = self.least.max(earlier.least.saturating_sub(drift));
        let most = self.most.min(earlier.most.saturating_add(drift));
        if drift >= 0 && least <= most { Self { least, most, ..self } } else { self }
    }

    const fn middle(self) -> i64 {
        self.least.midpoint(self.most)
    }
}

impl Offset {
    /// The offset in microseconds, once it was measured; 0 as long as the clocks may agree.
    pub fn micros(&self) -> Option<i64> {
        self.bounds().map(|bounds| if bounds.least <= 0 && bounds.most >= 0 { 0 } else { bounds.middle() })
    }

    /// How far the offset may be from [`Offset::micros`], in microseconds.
    pub fn uncertainty_micros(&self) -> Option<i64> {
        let (bounds, offset) = self.bounds().zip(self.micros())?;
        Some((bounds.most - offset).max(offset - bounds.least))
    }

    /// Keeps that the collector's clock showed `collector` at some time within `window`.
    pub fn measured(&self, collector: Timestamp, window: Window) {
        let bounds = Bounds::of(collector, window);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(known.map_or(bounds, |earlier| bounds.narrowed_by(earlier)));
    }

    /// What the collector's clock shows when ours shows `wall`, as well as is known; ours where nothing was measured.
    pub fn correct(&self, wall: Timestamp) -> Timestamp {
        let offset = self.bounds().map_or(0, Bounds::middle);
        Timestamp::from_micros(wall.as_micros().saturating_add(offset))
    }

    fn bounds(&self) -> Option<Bounds> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn after(micros: i64) -> Timestamp {
        Timestamp::from_micros(NOON.as_micros() + micros)
    }

    /// An exchange that took `out` there and `back` again, with a collector whose clock is `offset` ahead of ours.
    fn exchange(offset: &Offset, at: i64, out: i64, back: i64, ahead: i64) {
        let window = Window { asked: after(at), answered: after(at + out + back) };
        offset.measured(after(at + out + ahead), window);
    }

    #[test]
    fn the_offset_corrects_the_wall_clock() {
        let offset = Offset::default();
        assert_eq!((offset.correct(NOON), offset.micros()), (NOON, None));
        exchange(&offset, 0, 10_000, 10_000, 3_600_000_000);
        assert_eq!(offset.correct(NOON), NOON.plus(Duration::from_hours(1)));
        assert_eq!((offset.micros(), offset.uncertainty_micros()), (Some(3_600_000_000), Some(10_000)));
    }

    #[test]
    fn a_slow_handshake_is_no_offset_and_does_not_spoil_what_is_known() {
        let offset = Offset::default();
        exchange(&offset, 0, 300_000, 5_000, 0);
        assert_eq!((offset.micros(), offset.uncertainty_micros()), (Some(0), Some(300_000)));
        exchange(&offset, 1_000_000, 5_000, 5_000, 0);
        exchange(&offset, 2_000_000, 300_000, 5_000, 0);
        assert_eq!(offset.micros(), Some(0));
        assert!(offset.uncertainty_micros().unwrap() <= 6_000);
    }

    #[test]
    fn a_clock_that_was_set_is_measured_anew() {
        let offset = Offset::default();
        exchange(&offset, 0, 5_000, 5_000, 0);
        exchange(&offset, 1_000_000, 5_000, 5_000, -90_000_000);
        assert_eq!(offset.micros(), Some(-90_000_000));
    }

    proptest! {
        /// Whatever the ways there and back take, the offset is within its bounds.
        #[test]
        fn the_true_offset_is_never_further_off_than_the_uncertainty(
            ahead in -10_000_000_i64..10_000_000,
            ways in prop::collection::vec((0_i64..400_000, 0_i64..400_000, 0_i64..60_000_000), 1..20),
        ) {
            let offset = Offset::default();
            let mut at = 0;
            for (out, back, rest) in ways {
                exchange(&offset, at, out, back, ahead);
                at += out + back + rest;
                let (told, uncertainty) = (offset.micros().unwrap(), offset.uncertainty_micros().unwrap());
                prop_assert!((told - ahead).abs() <= uncertainty, "{told} ± {uncertainty} for {ahead}");
            }
        }
    }
}
