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
pub use content::{ASKED, Content, METRICS, TARGETS, series, targets};
pub use prepare::{Prepared, prepare};
pub use tally::{Counts, Tally, Times};

use member::Member;
use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
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
    /// What agents do with answers.
    pub answers: Answers,
}

impl Plan {
    /// How long figures of a fleet are those of its start: the first interval has full handshakes and no cache.
    pub const fn warm_up(&self) -> Duration {
        if self.rounds > 1 { self.spread } else { Duration::ZERO }
    }
}

/// What the agents of a fleet do with what they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// They check that the collector signed it, and that it acknowledges what they pushed.
    Checked,
    /// They take any success for one: a collector's peer in a benchmark has nothing to say.
    Unread,
}

/// A fleet whose batches are made and wait for their time, as on the disks of agents.
#[derive(Debug)]
pub struct Ready {
    members: Vec<Member>,
    plan: Plan,
    begin: Instant,
}

/// Makes every batch of a plan, before any is due.
pub async fn ready(prepared: &Prepared, collector: SocketAddr, plan: Plan) -> anyhow::Result<Ready> {
    let mut members = Vec::with_capacity(prepared.credentials.len());
    for (number, credential) in (0..).zip(&prepared.credentials) {
        members.push(Member::new(number, credential, prepared, (collector, plan.answers)));
    }
    let (now, started) = (peerlight_agent::clock::Clock::system().wall(), Instant::now());
    let patience = estimate(prepared, collector, plan, now) * u32::try_from(members.len())?;
    let begin = started + patience;
    let length = plan.interval.as_duration();
    let first = Interval::containing(now.plus(patience).minus(length), plan.interval).start();
    let oldest = first.minus(length * plan.backlog);
    let mut making = JoinSet::new();
    for mut member in members {
        making.spawn(async move {
            member.make(oldest, plan);
            member
        });
    }
    let members = making.join_all().await;
    Ok(Ready { members, plan, begin: begin.max(Instant::now()) })
}

/// How long it takes to make the batches of an agent, with something to spare; more than one thread makes it shorter.
fn estimate(prepared: &Prepared, collector: SocketAddr, plan: Plan, now: Timestamp) -> Duration {
    const SAMPLE: u32 = 100;
    let begun = Instant::now();
    for (number, credential) in (0..SAMPLE).zip(prepared.credentials.iter().cycle()) {
        Member::new(number, credential, prepared, (collector, plan.answers))
            .make(now, Plan { rounds: 1, backlog: 0, ..plan });
    }
    begun.elapsed() / SAMPLE * (plan.rounds + plan.backlog)
}

impl Ready {
    /// When the first agent begins.
    pub const fn begin(&self) -> Instant {
        self.begin
    }

    /// Lets the fleet push, and returns when everything was acknowledged.
    pub async fn run(self, tally: &Arc<Tally>) -> anyhow::Result<()> {
        let Self { members, plan, begin } = self;
        let agents = u32::try_from(members.len())?;
        let mut tasks = JoinSet::new();
        for member in members {
            let offset = plan.spread.mul_f64(f64::from(member.number()) / f64::from(agents));
            tasks.spawn(member.run(plan, begin + offset, Arc::clone(tally)));
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}
