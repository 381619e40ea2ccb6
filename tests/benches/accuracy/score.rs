//! The score: each measured time against the wire's time of the same probe. A tool probes a target once at a time, so the
//! nth time that it reports for a target is that of the nth request on the wire.

use crate::{
    course::Measure,
    tools::{Run, Tool},
    wire::Flight,
};
use std::{collections::HashMap, fmt::Write as _, net::IpAddr, time::Duration};

/// A tool's errors, in microseconds.
pub(crate) struct Score {
    /// Ascending; negative where the tool said less than the wire.
    signed: Vec<f64>,
    /// The same without their signs, ascending.
    absolute: Vec<f64>,
    /// Answers that the wire carried and the tool did not count.
    false_losses: usize,
    /// Requests on the wire that the tool did not speak of, and the other way round.
    unmatched: usize,
    sent: usize,
    cpu: Duration,
}

impl Score {
    /// The table's head.
    pub(crate) const HEADER: &str = "\
        error against the wire in µs: signed median, then 50th, 99th and 99.9th percentile and maximum of its size\n\
        tool                  of            n    median      |50|      |99|    |99.9|     |max|  false loss  CPU µs/probe  \
        |99| and CPU against ours";

    /// Compares.
    pub(crate) fn new(wire: &HashMap<IpAddr, Vec<Flight>>, run: &Run, measure: Measure) -> Self {
        let (mut signed, mut false_losses, mut unmatched) = (Vec::new(), 0, 0);
        for (address, flights) in wire {
            let times = run.times.get(&(measure, *address)).map_or(&[][..], Vec::as_slice);
            unmatched += flights.len().abs_diff(times.len());
            for (flight, time) in flights.iter().zip(times).filter(|(flight, _)| !flight.again) {
                match (flight.took, time) {
                    (Some(took), Some(time)) => signed.push((time.as_secs_f64() - took.as_secs_f64()) * 1e6),
                    (Some(_), None) => false_losses += 1,
                    (None, _) => {}
                }
            }
        }
        signed.sort_unstable_by(f64::total_cmp);
        let mut absolute: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
        absolute.sort_unstable_by(f64::total_cmp);
        let sent = wire.values().map(Vec::len).sum();
        Self { signed, absolute, false_losses, unmatched, sent, cpu: run.cpu }
    }

    /// One line of the table; `ours` is what to compare with.
    pub(crate) fn row(&self, tool: Tool, measure: Measure, ours: Option<&Self>) -> String {
        let mut row = format!(
            "{tool:<21} {measure:<8} {:>6} {:>9.0} {:>9.0} {:>9.0} {} {:>9.0} {:>11} {:>13.1}",
            self.signed.len(),
            rank(&self.signed, 0.5),
            rank(&self.absolute, 0.5),
            rank(&self.absolute, 0.99),
            // A percentile of fewer is the maximum by another name.
            if self.absolute.len() < 1_000 {
                format!("{:>9}", "–")
            } else {
                format!("{:>9.0}", rank(&self.absolute, 0.999))
            },
            rank(&self.absolute, 1.0),
            self.false_losses,
            self.cpu_per_probe(),
        );
        if let Some(ours) = ours {
            let error = rank(&self.absolute, 0.99) / rank(&ours.absolute, 0.99);
            let _ = write!(row, "  {error:>10.1} × {:>6.1} ×", self.cpu_per_probe() / ours.cpu_per_probe());
        }
        if self.unmatched > 0 {
            let _ = write!(row, "  ({} probes not matched)", self.unmatched);
        }
        row
    }

    fn cpu_per_probe(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(self.sent.max(1)).unwrap_or(u32::MAX))
    }
}

/// The nearest rank.
fn rank(ascending: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank is within the length, and that is small"
    )]
    let rank = (ascending.len() as f64 * share).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
