//! The machine, now: what two simple things take. The targets were set on a machine where these took so long; such machines
//! differ by a factor of two from hour to hour.

use crate::cpu;
use peerlight_proto::histogram::BUCKETS;
use std::hint::black_box;

/// Where the targets were set: merges of decoded histograms of four buckets into one dense array, millions a CPU second …
const MERGES: f64 = 120.0;
/// … and gigabytes copied.
const COPIED: f64 = 25.0;

/// Prints both, beside what they were where the targets were set.
pub(crate) fn print() -> anyhow::Result<()> {
    let (merges, copied) = (merges()?, copied()?);
    println!(
        "  this machine, now: {merges:.0} million merges a CPU second ({MERGES:.0} where the targets were set), {copied:.1} GB copied ({COPIED:.0})"
    );
    Ok(())
}

fn merges() -> anyhow::Result<f64> {
    const HISTOGRAMS: u16 = 1_024;
    const ROUNDS: u32 = 20_000;
    let cells: Vec<[(u16, u64); 4]> =
        (0..HISTOGRAMS).map(|number| [0, 3, 5, 9].map(|step| (900 + number % 97 + step, 1))).collect();
    let mut sums = vec![0_u64; BUCKETS];
    let begun = cpu()?;
    for _round in 0..ROUNDS {
        for (bucket, count) in black_box(&cells).iter().flatten() {
            sums[usize::from(*bucket)] += count;
        }
    }
    black_box(&sums);
    let spent = cpu()? - begun;
    Ok(f64::from(HISTOGRAMS) * f64::from(ROUNDS) / 1e6 / spent.as_secs_f64())
}

fn copied() -> anyhow::Result<f64> {
    const BYTES: usize = 64 << 20;
    const ROUNDS: u32 = 32;
    let from = vec![1_u8; BYTES];
    let mut to = vec![0_u8; BYTES];
    let begun = cpu()?;
    for _round in 0..ROUNDS {
        black_box(&mut to).copy_from_slice(black_box(&from));
    }
    let spent = cpu()? - begun;
    Ok(BYTES as f64 * f64::from(ROUNDS) / 1e9 / spent.as_secs_f64())
}
