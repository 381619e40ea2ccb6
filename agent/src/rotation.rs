//! Rotation: asks the collector how old the agent's key is, and has a new one follow it well before it expires.
//!
//! The new key is on disk before the collector hears of it, signs once the collector's signed word has come, and is used at
//! once. The collector believes the old one until then. So whatever dies in between, one of the two works, and asking
//! again finishes what was begun.

pub mod plan;

use crate::{
    backoff::Backoff,
    credential::CredentialError,
    exchange::{Answer, Exchange, ExchangeError, Question, Source},
    link::{Link, LinkError},
    signature::AgentKey,
    status::{Board, KeyState},
};
use peerlight_proto::{
    http::{KEYS_PATH, PROBLEM_MEDIA_TYPE},
    keys::{KeyStatus, Rotation as Claim, fingerprint},
    problem::{Problem, ProblemType},
    time::Timestamp,
};
use plan::{Duty, Life, Slot};
use std::time::Duration;

/// How often the key is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest rest: the collector's operator may have made lives shorter.
    pub period: Duration,
    /// How often an enrolment is looked for.
    pub enrolment: Duration,
    /// The wait after a first failure.
    pub first: Duration,
    /// The longest wait after failures.
    pub cap: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            period: Duration::from_hours(6),
            enrolment: Duration::from_mins(1),
            first: Duration::from_secs(10),
            cap: Duration::from_hours(1),
        }
    }
}

/// Why the key could not be looked after.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The way to the collector.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The state directory refused.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The request cannot be written.
    #[error("cannot write the request: {0}")]
    Request(#[source] serde_json::Error),
    /// The collector refused.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The collector, or somebody in its place, knows none of this agent's keys.
    #[error("the collector believes none of this agent's keys: {0}")]
    Unbelieved(Box<Problem>),
    /// Somebody else answered, or the collector's answer cannot be read.
    #[error("status {0} is not the collector's answer")]
    NotTheCollector(u16),
}

/// What the collector says of a key.
enum Heard {
    Status(KeyStatus),
    /// It is older than this agent: its keys live for ever.
    KeysLiveForEver,
}

/// Looks after the agent's key.
#[derive(Debug)]
pub struct Rotation {
    link: Link,
    board: Board,
    patience: Patience,
    backoff: Backoff,
}

impl Rotation {
    /// Looks after the key that signs what goes through `link`.
    pub fn new(link: Link, board: Board, patience: Patience) -> Self {
        Self { link, board, patience, backoff: Backoff::new(patience.first, patience.cap) }
    }

    /// Looks after it for ever. Dropping the future at any point does no harm.
    pub async fn run(mut self) {
        loop {
            let rest = self.look().await;
            tokio::time::sleep(rest).await;
        }
    }

    /// Looks once, and replaces the key if that is due; says how long to rest.
    pub async fn look(&mut self) -> Duration {
        match self.attempt().await {
            Ok(rest) => {
                self.backoff.succeeded();
                rest
            }
            Err(error) => {
                let rest = self.backoff.failed(rand::random(), None);
                tracing::warn!(%error, retry_s = rest.as_secs(), "this agent's key could not be looked after");
                self.board.update(|status| status.key_problem = Some(error.to_string()));
                rest
            }
        }
    }

    async fn attempt(&self) -> Result<Duration, RotationError> {
        let Some(enrolment) = self.link.enrolment()? else { return Ok(self.patience.enrolment) };
        let exchange = self.link.open(&enrolment, Source::System)?;
        let status = match self.ask(&exchange, &Question::get(KEYS_PATH)).await? {
            Heard::Status(status) => status,
            Heard::KeysLiveForEver => return Ok(self.patience.period),
        };
        let status = match self.duty(&status)? {
            Duty::Rest(_) => status,
            Duty::Replace => self.replace(&exchange).await?,
        };
        self.show(&status);
        let rest = match self.duty(&status)? {
            Duty::Rest(rest) => rest,
            Duty::Replace => self.patience.first,
        };
        Ok(rest.min(self.patience.period))
    }

    fn duty(&self, status: &KeyStatus) -> Result<Duty, CredentialError> {
        let begun = self.link.key.next()?.is_some();
        let now = Timestamp::from_micros(status.collector_time_us);
        Ok(plan::duty(self.link.key.agent(), status.into(), begun, now))
    }

    /// Has a new key follow the one that signs, and uses it.
    async fn replace(&self, exchange: &Exchange) -> Result<KeyStatus, RotationError> {
        let key = &self.link.key;
        let next = key.begin_next()?;
        let claim = claim(&key.signing(), &next);
        let body = serde_json::to_vec(&claim.request(&next.prove(&claim.statement())))
            .map_err(RotationError::Request)?;
        let heard = self.ask(exchange, &Question::post(KEYS_PATH, "application/json", body.into())).await;
        match heard {
            Ok(Heard::Status(status)) if status.key == hex::encode(next.public_key()) => {}
            Ok(Heard::Status(_) | Heard::KeysLiveForEver) => return Err(RotationError::NotTheCollector(201)),
            Err(RotationError::Refused(problem)) => {
                if ProblemType::from_uri(&problem.kind) == Some(ProblemType::KeyRefused) {
                    key.give_up_next()?;
                }
                return Err(RotationError::Refused(problem));
            }
            Err(error) => return Err(error),
        }
        key.take_up(Slot::Next)?;
        tracing::info!(key = fingerprint(&next.public_key()), "a new key signs from now on");
        // Its first use: from now on the old one is believed no more.
        match self.ask(exchange, &Question::get(KEYS_PATH)).await? {
            Heard::Status(status) => Ok(status),
            Heard::KeysLiveForEver => Err(RotationError::NotTheCollector(404)),
        }
    }

    /// Asks, again by the collector's clock if it does not believe ours.
    async fn ask(&self, exchange: &Exchange, question: &Question) -> Result<Heard, RotationError> {
        let answer = exchange.ask(question).await?;
        let Some(collector) = answer.skewed_by() else { return read(&answer) };
        exchange.learn_time(collector, answer.window);
        read(&exchange.ask(question).await?)
    }

    fn show(&self, status: &KeyStatus) {
        let life = Life::from(status);
        let key = KeyState {
            key: fingerprint(&self.link.key.public_key()),
            since_us: status.since_us,
            expires_us: status.expires_us,
            due_us: plan::due(self.link.key.agent(), life).as_micros(),
        };
        self.board.update(|board| {
            board.key = Some(key);
            board.key_problem = None;
        });
    }
}

fn claim(key: &AgentKey, next: &AgentKey) -> Claim {
    Claim { agent: key.agent(), key: key.public_key(), next: next.public_key(), nonce: rand::random() }
}

fn read(answer: &Answer) -> Result<Heard, RotationError> {
    let not_the_collector = RotationError::NotTheCollector(answer.status);
    if answer.media_type() == PROBLEM_MEDIA_TYPE {
        // What is not signed may be a middlebox's, and changes nothing.
        return match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(_) if answer.status == 404 => Ok(Heard::KeysLiveForEver),
            Ok(problem) if answer.signed.is_ok() => Err(RotationError::Refused(Box::new(problem))),
            Ok(problem) if answer.status == 401 => Err(RotationError::Unbelieved(Box::new(problem))),
            Ok(_) | Err(_) => Err(not_the_collector),
        };
    }
    match (answer.status, &answer.signed) {
        (200..=299, Ok(())) => {
            serde_json::from_slice(&answer.body).map(Heard::Status).map_err(|_malformed| not_the_collector)
        }
        _ => Err(not_the_collector),
    }
}
