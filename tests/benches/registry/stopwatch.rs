//! Times of one operation done many times: median and 99th percentile, of the clock on the wall and of this thread's CPU.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What an operation may take.
const TARGET_MS: f64 = 10.0;
/// What a longest match may take.
const TARGET_NS: f64 = 1_000.0;

/// Every time that one operation took.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
}

impl Stopwatch {
    /// Does it once more.
    pub(crate) fn time<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let (begun, cpu) = (Instant::now(), thread_cpu());
        let done = act();
        self.cpu.push(thread_cpu().saturating_sub(cpu));
        self.wall.push(begun.elapsed());
        done
    }

    /// What the columns are.
    pub(crate) fn header() {
        println!(
            "  {:<58} {:>9} {:>9} {:>9} {:>9} {:<5} {:>7} {:>7}",
            "figure", "median", "p99", "CPU med.", "CPU p99", "unit", "target", "ratio"
        );
    }

    /// A line of the table; the ratio is that of the 99th percentile on the wall.
    pub(crate) fn print(self, figure: &str) {
        self.print_each(figure, 1);
    }

    /// The same of an operation that did `group` at once: for each of them, and for the group what nobody else waited less
    /// than.
    pub(crate) fn print_each(mut self, figure: &str, group: u32) {
        self.wall.sort_unstable();
        self.cpu.sort_unstable();
        let [median, slow] = [0.5, 0.99].map(|share| milliseconds(&self.wall, share));
        let [cpu, slow_cpu] = [0.5, 0.99].map(|share| milliseconds(&self.cpu, share));
        let each = f64::from(group);
        println!(
            "  {figure:<58} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:<5} {TARGET_MS:>7.1} {:>7.3}",
            median / each,
            slow / each,
            cpu / each,
            slow_cpu / each,
            "ms",
            slow / each / TARGET_MS
        );
        if group > 1 {
            println!(
                "    a whole group: median {median:.1} ms, p99 {slow:.1} ms; CPU {cpu:.1} and {slow_cpu:.1} ms"
            );
        }
    }

    /// A line of what takes less than a clock can tell.
    pub(crate) fn print_nanoseconds(figure: &str, mean: f64) {
        println!(
            "  {figure:<58} {mean:>9.0} {:>9} {:>9} {:>9} {:<5} {TARGET_NS:>7.0} {:>7.3}",
            "CPU mean",
            "",
            "",
            "ns",
            mean / TARGET_NS
        );
    }
}

/// The time that this share of the sorted times does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a position"
)]
fn milliseconds(sorted: &[Duration], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// The CPU time of this thread so far.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
