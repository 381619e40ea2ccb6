//! The assignment: the targets that the collector hands out, fetched now and then and cached on disk.
//!
//! An assignment is taken as a whole or not at all: one that cannot be read, or lies beyond this machine's ceilings (rules, §9),
//! is refused with its reasons, which travel to the collector with the batches, and the one before stays in force.

use crate::{
    cadence::Cadence,
    durable,
    exchange::{Answer, Exchange, ExchangeError, Question, Source},
    link::{Link, Way},
    paths::StateDir,
    status::Board,
    targets::Selector,
};
use http::{HeaderValue, header};
use peerlight_proto::{
    assignment::{Assignment, AssignmentState, RefusedAssignment},
    http::ASSIGNMENT_PATH,
};
use serde::Deserialize;
use std::fs;
use tokio::sync::watch;

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// A list that differs from the one we have.
    Changed(Assignment),
    /// The list we have is the newest.
    Unchanged,
    /// The collector's word, of which this build cannot make targets.
    Unreadable(Unreadable),
}

/// An assignment that this build cannot read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unreadable {
    /// Its version, if at least that can be read.
    pub version: String,
    /// Its target set; 0 if that cannot be read.
    pub set: u32,
    /// Why the rest cannot be.
    pub reason: String,
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
            Ok(()) => Ok(read(&answer.body)),
            Err(error) => Err(wrong(error.to_string())),
        },
        _ => Err(wrong("expected 200 or 304".to_owned())),
    }
}

/// What the collector signed for.
fn read(body: &[u8]) -> Fetched {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Head {
        version: String,
        set: u32,
    }
    match serde_json::from_slice(body) {
        Ok(assignment) => Fetched::Changed(assignment),
        Err(error) => {
            let Head { version, set } = serde_json::from_slice(body).unwrap_or_default();
            let reason =
                format!("this agent cannot read it ({error}); most likely it is older than its collector");
            Fetched::Unreadable(Unreadable { version, set, reason })
        }
    }
}

/// Keeps the assignment in force up to date.
#[derive(Debug)]
pub struct Follower {
    state: StateDir,
    /// What is measured, which decides whether an assignment fits under the ceilings.
    selector: Selector,
    current: watch::Sender<Option<Assignment>>,
    board: Board,
    /// The version that was refused last.
    refused: Option<String>,
}

impl Follower {
    /// Begins with the assignment of the last run, if it still fits, and says where the one in force can be watched.
    pub fn begin(
        state: StateDir,
        selector: Selector,
        board: Board,
    ) -> (Self, watch::Receiver<Option<Assignment>>) {
        let (mut kept, mut refused) = (cached(&state), None);
        if let Some(assignment) = &kept {
            let objections = selector.objections(assignment);
            if !objections.is_empty() {
                tell_refusal(&board, assignment.set, &objections.join("; "));
                refused = Some(assignment.version.clone());
                kept = None;
            }
        }
        board.update(|status| status.assignment.held = kept.as_ref().map_or(0, |assignment| assignment.set));
        let (current, assignment) = watch::channel(kept);
        (Self { state, selector, current, board, refused }, assignment)
    }

    /// Asks the collector for ever.
    pub async fn run(mut self, link: Link, cadence: Cadence) {
        let mut way = Way::new(link, Source::System);
        loop {
            let wait = match self.refresh(&mut way).await {
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
    async fn refresh(&mut self, way: &mut Way) -> anyhow::Result<bool> {
        let Some(exchange) = way.exchange()? else { return Ok(false) };
        let held = self.current.borrow().as_ref().map(|assignment| assignment.version.clone());
        // What was refused needs no second look; what was taken back to is another than that.
        let newest = self.refused.clone().or_else(|| held.clone());
        match fetch(exchange, newest.as_deref()).await? {
            Fetched::Unchanged => {}
            Fetched::Changed(assignment) if held.as_ref() == Some(&assignment.version) => {
                self.accept(assignment.set);
            }
            Fetched::Changed(assignment) => self.judge(assignment)?,
            Fetched::Unreadable(Unreadable { version, set, reason }) => self.refuse(version, set, &reason),
        }
        Ok(true)
    }

    /// Takes an assignment as a whole, or leaves it.
    fn judge(&mut self, assignment: Assignment) -> anyhow::Result<()> {
        let objections = self.selector.objections(&assignment);
        if !objections.is_empty() {
            self.refuse(assignment.version, assignment.set, &objections.join("; "));
            return Ok(());
        }
        durable::replace(&self.state.assignment(), &serde_json::to_vec_pretty(&assignment)?)?;
        tracing::info!(
            version = assignment.version,
            set = assignment.set,
            targets = assignment.targets.len(),
            "a new assignment is in force"
        );
        self.accept(assignment.set);
        self.current.send_replace(Some(assignment));
        Ok(())
    }

    fn accept(&mut self, set: u32) {
        self.refused = None;
        self.board.update(|status| status.assignment = AssignmentState { held: set, refused: None });
    }

    fn refuse(&mut self, version: String, set: u32, reason: &str) {
        if self.refused.as_ref() != Some(&version) {
            tell_refusal(&self.board, set, reason);
        }
        self.refused = Some(version);
    }
}

fn tell_refusal(board: &Board, set: u32, reason: &str) {
    tracing::warn!(set, reason, "an assignment is refused; the one before stays in force");
    let refused = RefusedAssignment { set, reason: reason.to_owned() };
    board.update(|status| status.assignment.refused = Some(refused));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_refused_by_its_version() {
        let body = br#"{"version": "8.ab", "set": 8, "targets": [{"name": "x", "probe": "quic:443"}]}"#;
        let Fetched::Unreadable(Unreadable { version, set, reason }) = read(body) else {
            panic!("it was read")
        };
        assert_eq!((version.as_str(), set), ("8.ab", 8));
        assert!(reason.contains("older than its collector"), "{reason}");
        assert!(matches!(read(b"<html>"), Fetched::Unreadable(Unreadable { set: 0, .. })));
        assert_eq!(
            read(br#"{"version": "1", "targets": []}"#),
            Fetched::Changed(Assignment { version: "1".to_owned(), ..Assignment::default() })
        );
    }
}
