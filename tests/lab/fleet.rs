//! A fleet: any number of enrolled agents with keys of their own, which push signed batches over TLS to a collector on this
//! machine. What they push is due when the schedule says so, however the collector keeps up (open loop), and an answer's
//! time counts from then. Each agent connects from an address of its own within 127.0.0.0/8.
//!
//! Everything an agent does with a batch is done as it does it: the codec, the signature, TLS with a session ticket of its
//! own, the check of the signed acknowledgement, the order of a backlog, the wait that the collector asks for.

pub mod collector;
mod content;
mod line;
mod member;
mod prepare;
mod tally;

pub use collector::{Machine, Spent};
pub use content::{ASKED, Content};
pub use prepare::{Prepared, prepare};
pub use tally::{Tally, Times};

use member::Member;
use peerlight_proto::time::{IntervalLength, Timestamp};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// What a fleet does.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The length of an interval: each agent pushes one batch for each.
    pub interval: IntervalLength,
    /// How many intervals are pushed as they close.
    pub rounds: u32,
    /// How many intervals before those wait from the beginning.
    pub backlog: u32,
    /// Over which time the agents begin; an interval, unless an outage ends for all of them at once.
    pub spread: Duration,
}

/// The start of the first interval that is pushed as it closes: an aligned instant, at most two intervals ago.
pub fn first_interval(now: Timestamp, length: IntervalLength) -> Timestamp {
    peerlight_proto::time::Interval::containing(now.minus(length.as_duration()), length).start()
}

/// Lets the fleet do it, and returns when everything was acknowledged or given up.
pub async fn run(prepared: &Prepared, collector: SocketAddr, plan: Plan, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let begin = Instant::now() + Duration::from_millis(200);
    let first = first_interval(peerlight_agent::clock::Clock::system().wall(), plan.interval);
    let agents = u32::try_from(prepared.credentials.len())?;
    let mut tasks = JoinSet::new();
    for (number, credential) in (0..).zip(&prepared.credentials) {
        let member = Member::new(number, credential, prepared, collector)?;
        let offset = plan.spread.mul_f64(f64::from(number) / f64::from(agents));
        tasks.spawn(member.run(plan, first, begin + offset, Arc::clone(tally)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}
