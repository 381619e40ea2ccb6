//! One agent of a fleet: when its batches are due, in which order they go, and how long it waits when it is told to.

use super::{
    Answers, Plan,
    content::Content,
    line::{Line, LineError, Said},
    prepare::{Credential, Prepared},
    tally::Tally,
};
use bytes::Bytes;
use peerlight_agent::{backoff::Backoff, exchange::LINGER};
use peerlight_proto::{
    batch::{Batch, Health},
    codec::encode_batch,
    id::{AgentId, BatchNumber, SessionId},
    series::Series,
    time::{Interval, Timestamp},
};
use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// How patient it is, as agents are.
const FIRST: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_mins(5);

/// An agent.
pub(super) struct Member {
    number: u32,
    agent: AgentId,
    session: SessionId,
    series: Arc<Vec<Series>>,
    address: IpAddr,
    content: Arc<Content>,
    line: Line,
    backoff: Backoff,
    /// What it will have measured, in the order of time.
    made: VecDeque<Bytes>,
    /// What waits, the oldest first.
    waiting: VecDeque<Waiting>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A batch that waits.
struct Waiting {
    number: BatchNumber,
    round: u32,
    bytes: Bytes,
    due: Instant,
    live: bool,
}

impl Member {
    pub(super) fn new(
        number: u32,
        credential: &Credential,
        prepared: &Prepared,
        collector: (SocketAddr, Answers),
    ) -> Self {
        let site = &prepared.sites[credential.site];
        // 127.1.0.0 and up: beside what others use of the loopback network.
        let source = Ipv4Addr::from_bits((127 << 24) + (1 << 16) + number);
        Self {
            number,
            agent: credential.key.agent(),
            session: SessionId::new(rand::random()),
            series: Arc::clone(&site.series),
            address: site.address,
            content: Arc::clone(&prepared.content),
            line: Line::new(prepared, Arc::clone(&credential.key), source, collector),
            backoff: Backoff::new(FIRST, CAP),
            made: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Makes the batch of each interval from the oldest on, as the spool of an agent holds it.
    pub(super) fn make(&mut self, oldest: Timestamp, plan: Plan) {
        for round in 0..plan.backlog + plan.rounds {
            let interval =
                Interval::containing(oldest.plus(plan.interval.as_duration() * round), plan.interval);
            let batch = Batch {
                number: self.batch_number(round),
                created: interval.end().plus(Duration::from_secs(3)),
                clock_offset_us: Some(0),
                agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                part: None,
                health: Health::default(),
                series: Vec::clone(&self.series),
                measurements: self.content.measurements(self.number, round, interval, self.address),
            };
            // Encoding memory to memory does not fail.
            self.made.push_back(encode_batch(&batch).unwrap_or_default().into());
        }
    }

    fn batch_number(&self, round: u32) -> BatchNumber {
        BatchNumber { agent: self.agent, session: self.session, sequence: u64::from(round) }
    }

    /// Pushes all that the plan wants, and ends when all of it was acknowledged.
    pub(super) async fn run(mut self, plan: Plan, begin: Instant, tally: Arc<Tally>) {
        let length = plan.interval.as_duration();
        sleep_until(begin).await;
        for round in 0..plan.backlog {
            self.spool((round, begin), false);
        }
        let mut open_backlog = plan.backlog > 0;
        for round in 0..plan.rounds {
            let due = begin + length * round;
            sleep_until(due).await;
            self.spool((plan.backlog + round, due), true);
            let until = (round + 1 < plan.rounds).then(|| due + length);
            self.deliver(until, &tally).await;
            if std::mem::take(&mut open_backlog) {
                open_backlog = self.waiting.iter().any(|waiting| !waiting.live);
                if !open_backlog {
                    tally.change(|counts| counts.backlogs.push(begin.elapsed()));
                }
            }
        }
    }

    fn spool(&mut self, (round, due): (u32, Instant), live: bool) {
        let number = self.batch_number(round);
        self.waiting.extend(self.made.pop_front().map(|bytes| Waiting { number, round, bytes, due, live }));
    }

    /// Hands over what waits, the newest first and then the oldest, until nothing waits or the next batch is due.
    async fn deliver(&mut self, until: Option<Instant>, tally: &Tally) {
        let mut newest = true;
        while let Some(waiting) = if newest { self.waiting.pop_back() } else { self.waiting.pop_front() } {
            let wait = match self.hand_over(&waiting, tally).await {
                Ok(Said::Acknowledged { duplicate, refused }) => {
                    tally.acknowledged(
                        &self.content,
                        (self.number, waiting.round),
                        waiting.live,
                        waiting.due.elapsed(),
                    );
                    tally.change(|counts| {
                        counts.duplicates += u64::from(duplicate);
                        counts.refused_measurements += refused;
                    });
                    self.backoff.succeeded();
                    newest = false;
                    if until.is_some_and(|until| until <= Instant::now()) {
                        return;
                    }
                    continue;
                }
                Ok(Said::Later(status, after)) => {
                    tally.change(|counts| *counts.put_off.entry(status.as_u16()).or_default() += 1);
                    after
                }
                Err(error) => {
                    self.line.close();
                    tally.change(|counts| *counts.failures.entry(error.to_string()).or_default() += 1);
                    None
                }
            };
            if newest {
                self.waiting.push_back(waiting);
            } else {
                self.waiting.push_front(waiting);
            }
            let wait = self.backoff.failed(rand::random(), wait);
            if wait > LINGER {
                self.line.close();
            }
            sleep(wait).await;
            newest = true;
            if until.is_some_and(|until| until <= Instant::now()) {
                return;
            }
        }
        // As an agent's: it is kept for a while, lest more is to be said.
        sleep(LINGER).await;
        self.line.close();
    }

    async fn hand_over(&mut self, waiting: &Waiting, tally: &Tally) -> Result<Said, LineError> {
        if let Some(resumed) = self.line.open().await? {
            tally.change(|counts| {
                counts.connections += 1;
                counts.resumed += u64::from(resumed);
            });
        }
        self.line.push(waiting.number, &waiting.bytes).await
    }
}
