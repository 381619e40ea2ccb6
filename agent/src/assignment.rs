//! The assignment: the targets that the collector hands out, fetched now and then and cached on disk.

use crate::{
    cadence::Cadence,
    durable,
    exchange::{Answer, Exchange, ExchangeError, Question, Source},
    link::{Link, Way},
    paths::StateDir,
};
use http::{HeaderValue, header};
use peerlight_proto::{assignment::Assignment, http::ASSIGNMENT_PATH};
use std::fs;
use tokio::sync::watch;

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// A list that differs from the one we have.
    Changed(Assignment),
    /// The list we have is the newest.
    Unchanged,
}

/// Why there is no assignment.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// No answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The answer is not the collector's assignment.
    #[error("status {0} is not the collector's assignment: {1}")]
    NotAnAssignment(u16, String),
}

/// The assignment of the last run, if one was kept. A damaged one is as good as none: it will be fetched again.
pub fn cached(state: &StateDir) -> Option<Assignment> {
    let json = fs::read(state.assignment()).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Asks for the assignment if it is another than `version`.
pub async fn fetch(exchange: &Exchange, version: Option<&str>) -> Result<Fetched, AssignmentError> {
    let mut question = Question::get(ASSIGNMENT_PATH);
    let tag = version.and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok());
    if let Some(tag) = tag {
        question.headers.insert(header::IF_NONE_MATCH, tag);
    }
    judge(&exchange.ask(&question).await?)
}

fn judge(answer: &Answer) -> Result<Fetched, AssignmentError> {
    let wrong = |reason: String| AssignmentError::NotAnAssignment(answer.status, reason);
    match answer.status {
        // Unsigned or not, it changes nothing.
        304 => Ok(Fetched::Unchanged),
        200 => match &answer.signed {
            Ok(()) => serde_json::from_slice(&answer.body)
                .map(Fetched::Changed)
                .map_err(|error| wrong(error.to_string())),
            Err(error) => Err(wrong(error.to_string())),
        },
        _ => Err(wrong("expected 200 or 304".to_owned())),
    }
}

/// Keeps `current` up to date for ever.
pub async fn follow(link: Link, current: watch::Sender<Option<Assignment>>, cadence: Cadence) {
    let state = link.state.clone();
    let mut way = Way::new(link, Source::System);
    loop {
        let wait = match refresh(&mut way, &state, &current).await {
            Ok(true) => cadence.period,
            Ok(false) => cadence.retry,
            Err(error) => {
                tracing::warn!(%error, "the assignment could not be fetched; the last one stays in force");
                cadence.retry
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// False while the agent is not enrolled.
async fn refresh(
    way: &mut Way,
    state: &StateDir,
    current: &watch::Sender<Option<Assignment>>,
) -> anyhow::Result<bool> {
    let Some(exchange) = way.exchange()? else { return Ok(false) };
    let version = current.borrow().as_ref().map(|assignment| assignment.version.clone());
    if let Fetched::Changed(assignment) = fetch(exchange, version.as_deref()).await? {
        let json = serde_json::to_vec_pretty(&assignment)?;
        durable::replace(&state.assignment(), &json)?;
        tracing::info!(
            version = assignment.version,
            targets = assignment.targets.len(),
            "a new assignment is in force"
        );
        current.send_replace(Some(assignment));
    }
    Ok(true)
}
