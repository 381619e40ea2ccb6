//! Push: hands spooled batches to the collector, one at a time, and does what its answer means.

pub mod verdict;

use crate::{
    backoff::Backoff,
    credential::Enrolment,
    exchange::{Exchange, ExchangeError, Question, Source},
    link::{Link, LinkError},
    offset::Window,
    spool::{SpoolError, Waiting, handle::SharedSpool},
    status::{Board, PushState, Pushed},
};
use http::{HeaderValue, header};
use peerlight_proto::{
    drops::DropReason,
    http::{BATCH_MEDIA_TYPE, BATCHES_PATH},
    id::SessionId,
    problem::ProblemType,
};
use std::time::Duration;
use verdict::Verdict;

/// How patient pushing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The wait after a first failure.
    pub first: Duration,
    /// The longest wait after failures.
    pub cap: Duration,
    /// The wait after the collector turned the agent away.
    pub stopped: Duration,
    /// How often an enrolment is looked for.
    pub enrolment: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            cap: Duration::from_mins(5),
            stopped: Duration::from_mins(10),
            enrolment: Duration::from_mins(1),
        }
    }
}

/// Why a push did not come to a verdict.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Hands spooled batches over.
#[derive(Debug)]
pub struct Push {
    spool: SharedSpool,
    link: Link,
    board: Board,
    patience: Patience,
    backoff: Backoff,
    /// Numbers the parts of a split before this process has written a batch of its own.
    session: SessionId,
}

/// What to do after one batch.
enum Next {
    /// Take the next batch.
    Go,
    /// Wait, and read the enrolment again: an operator may have acted.
    Wait(Duration),
}

impl Push {
    /// Hands over what `spool` holds through `link`.
    pub fn new(spool: SharedSpool, link: Link, board: Board, patience: Patience) -> Self {
        let backoff = Backoff::new(patience.first, patience.cap);
        let session = SessionId::new(rand::random());
        Self { spool, link, board, patience, backoff, session }
    }

    /// Pushes for ever. Dropping the future at any point loses nothing: a batch leaves the spool only on the
    /// collector's signed word, and the collector counts it once however often it comes.
    pub async fn run(mut self) {
        loop {
            let wait = match self.open() {
                Ok(Some((enrolment, exchange))) => {
                    self.board.update(|status| {
                        status.enrolled = Some(enrolment.into());
                        status.not_enrolled_for.clear();
                    });
                    self.deliver(&exchange).await
                }
                Ok(None) => {
                    let missing = self.link.missing().unwrap_or_default();
                    self.board.update(|status| {
                        status.push = PushState::NotEnrolled;
                        status.not_enrolled_for = missing;
                    });
                    self.patience.enrolment
                }
                Err(error) => {
                    tracing::error!(%error, "cannot reach the collector with this enrolment");
                    self.board
                        .update(|status| status.push = PushState::Stopped { reason: error.to_string() });
                    self.patience.enrolment
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn open(&self) -> Result<Option<(Enrolment, Exchange)>, LinkError> {
        let Some(enrolment) = self.link.enrolment()? else { return Ok(None) };
        let exchange = self.link.open(&enrolment, Source::System)?;
        Ok(Some((enrolment, exchange)))
    }

    /// Pushes until something fails; says how long to wait before trying again.
    async fn deliver(&mut self, exchange: &Exchange) -> Duration {
        loop {
            let next = match self.spool.next().await {
                Ok(Some(waiting)) => self.hand_over(exchange, waiting).await,
                Ok(None) => {
                    self.board.update(|status| {
                        if !matches!(status.push, PushState::Stopped { .. }) {
                            status.push = PushState::Idle;
                        }
                    });
                    self.spool.grown().await;
                    Ok(Next::Go)
                }
                Err(error) => Err(error.into()),
            };
            match next {
                Ok(Next::Go) => {}
                Ok(Next::Wait(wait)) => return wait,
                Err(error) => return self.failed(&error.to_string(), None),
            }
        }
    }

    async fn hand_over(&mut self, exchange: &Exchange, waiting: Waiting) -> Result<Next, PushError> {
        let mut question = Question::post(BATCHES_PATH, BATCH_MEDIA_TYPE, waiting.bytes.clone().into());
        question.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        let mut answer = exchange.ask(&question).await?;
        let mut verdict = verdict::judge(&answer, waiting.number, waiting.digest);
        if let Verdict::ClockSkew(collector) = verdict {
            exchange.learn_time(collector, answer.window);
            tracing::warn!(
                offset_us = self.link.offset.micros(),
                "this machine's clock is wrong; signing again with the collector's time"
            );
            answer = exchange.ask(&question).await?;
            verdict = verdict::judge(&answer, waiting.number, waiting.digest);
        }
        self.obey(exchange, waiting, verdict, answer.window).await
    }

    async fn obey(
        &mut self,
        exchange: &Exchange,
        waiting: Waiting,
        verdict: Verdict,
        window: Window,
    ) -> Result<Next, PushError> {
        let number = waiting.number;
        match verdict {
            Verdict::Acknowledged(ack) => {
                exchange.learn_time(ack.collector_time, window);
                if let Some(refusal) = ack.refused.first() {
                    tracing::warn!(%number, refused = ack.refused.len(), first = %refusal.code, "measurements were refused");
                }
                let (refused, now) = (ack.refused.len() as u64, self.link.clock.wall());
                let pushed = Pushed {
                    until_us: waiting.key.newest_end.as_micros(),
                    bytes: waiting.bytes.len() as u64,
                    refused,
                };
                self.spool.acknowledge(waiting.key, refused, ack.dropped, now).await?;
                self.backoff.succeeded();
                self.board.update(|status| {
                    status.push = PushState::Delivering;
                    status.last_ack_us = Some(window.answered.as_micros());
                    status.last_pushed = Some(pushed);
                });
            }
            Verdict::Drop { kind, reason } => {
                tracing::error!(%number, reason, "the collector rejected a batch for good; it is deleted");
                let too_old = kind == ProblemType::TooOld;
                let why = if too_old { DropReason::RejectedTooOld } else { DropReason::Rejected };
                self.spool.reject(waiting.key, why).await?;
                self.backoff.succeeded();
            }
            Verdict::Split(reason) => {
                tracing::info!(%number, reason, "the collector wants a batch in parts");
                let key = waiting.key;
                if !self.spool.split(self.session, waiting, self.link.clock.wall()).await? {
                    tracing::error!(%number, reason, "one measurement alone is too large for the collector; it is set aside");
                    self.spool.set_too_large_aside(key).await?;
                }
            }
            Verdict::Retry { reason, after } => return Ok(Next::Wait(self.failed(&reason, after))),
            Verdict::ClockSkew(_) => {
                let reason = "the collector refuses the time of the signature even when it is its own";
                return Ok(Next::Wait(self.failed(reason, None)));
            }
            Verdict::Stop(reason) => {
                tracing::error!(reason, "the collector turned this agent away; batches are kept");
                self.board.update(|status| status.push = PushState::Stopped { reason });
                return Ok(Next::Wait(self.patience.stopped));
            }
        }
        Ok(Next::Go)
    }

    fn failed(&mut self, reason: &str, asked: Option<Duration>) -> Duration {
        let wait = self.backoff.failed(rand::random(), asked);
        tracing::warn!(reason, wait_ms = wait.as_millis(), "a push failed; the batch is kept");
        let reason = reason.to_owned();
        self.board.update(|status| status.push = PushState::Retrying { reason });
        wait
    }
}
