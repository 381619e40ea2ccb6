//! The assignment, fetched from a real collector.

use crate::{
    collector::{Collector, Mood},
    process::eventually,
};
use peerlight_agent::{
    assignment::{Follower, cached},
    cadence::Cadence,
    clock::Clock,
    link::Link,
    paths::StateDir,
    status::Board,
    targets::Selector,
};
use peerlight_proto::{
    assignment::{AssignedTarget, Assignment, AssignmentState},
    series::Family,
    target::Target,
};
use std::time::Duration;
use tokio::{sync::watch, task::JoinHandle};

const CADENCE: Cadence = Cadence {
    period: Duration::from_millis(10),
    retry: Duration::from_millis(10),
    look: Duration::from_millis(10),
};

fn version(set: u32, probe: &str) -> Assignment {
    let target = Target {
        name: "a".to_owned(),
        service: String::new(),
        address: "a.example".parse().unwrap(),
        probe: probe.parse().unwrap(),
    };
    let targets = vec![AssignedTarget { target, interval_ms: Some(5_000) }];
    Assignment { version: format!("{set}.{probe}"), set, targets }
}

/// An agent that follows what it is assigned; ends with the test.
struct Following {
    board: Board,
    current: watch::Receiver<Option<Assignment>>,
    task: JoinHandle<()>,
}

impl Following {
    fn begin(state: &StateDir, link: Link) -> Self {
        let selector = Selector { families: vec![Family::ALL.to_vec()], ..Selector::default() };
        let board = Board::default();
        let (follower, current) = Follower::begin(state.clone(), selector, board.clone());
        Self { board, current, task: tokio::spawn(follower.run(link, CADENCE)) }
    }

    /// Waits until this assignment is in force.
    async fn has(&mut self, expected: &Assignment) {
        let waiting = self.current.wait_for(|assignment| assignment.as_ref() == Some(expected));
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
    }

    /// Waits until the agent says so of its assignment, and what it says then.
    async fn says(&self, what: &str, enough: impl Fn(&AssignmentState) -> bool) -> AssignmentState {
        eventually(what, || Some(self.board.get().assignment).filter(&enough)).await
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_new_assignment_comes_into_force_and_is_kept_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::new(directory.path());
    let collector = Collector::start(Clock::system()).await;
    collector.assign(version(1, "icmp"));
    let link = collector.enrol(&state, Clock::system()).await;
    let mut following = Following::begin(&state, link);
    following.has(&version(1, "icmp")).await;
    collector.until("an unchanged assignment", |seen| seen.unchanged > 0).await;
    collector.assign(version(2, "icmp"));
    following.has(&version(2, "icmp")).await;
    assert_eq!(cached(&state), Some(version(2, "icmp")));
    assert_eq!(following.board.get().assignment, AssignmentState { held: 2, refused: None });
}

#[tokio::test]
async fn an_assignment_that_the_collector_did_not_sign_steers_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::new(directory.path());
    let collector = Collector::start(Clock::system()).await;
    collector.assign(version(1, "icmp"));
    let link = collector.enrol(&state, Clock::system()).await;
    let mut following = Following::begin(&state, link);
    following.has(&version(1, "icmp")).await;
    for mood in [Mood::Portal, Mood::Forge] {
        collector.set_mood(mood);
        collector.assign(version(666, "icmp"));
        let before = collector.seen.borrow().requests;
        collector.until("two attempts", |seen| seen.requests >= before + 2).await;
    }
    assert_eq!(*following.current.borrow(), Some(version(1, "icmp")));
    assert_eq!(cached(&state), Some(version(1, "icmp")));
}

#[tokio::test]
async fn an_assignment_beyond_the_ceilings_is_refused_whole_until_it_is_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::new(directory.path());
    let collector = Collector::start(Clock::system()).await;
    collector.assign(version(1, "icmp"));
    let link = collector.enrol(&state, Clock::system()).await;
    let mut following = Following::begin(&state, link.clone());
    following.has(&version(1, "icmp")).await;
    let mut beyond = version(2, "tcp:22");
    beyond.targets.extend(version(2, "tcp:443").targets);
    collector.assign(beyond.clone());
    let said = following.says("a refusal", |said| said.refused.is_some()).await;
    assert_eq!(said.held, 1);
    let refused = said.refused.unwrap();
    assert_eq!(refused.set, 2);
    assert!(refused.reason.contains("a.example tcp:22: this port may not be probed"), "{}", refused.reason);
    let unchanged = collector.seen.borrow().unchanged;
    collector.until("a question for what was refused", |seen| seen.unchanged > unchanged).await;
    assert_eq!(*following.current.borrow(), Some(version(1, "icmp")), "nothing of it is measured");
    assert_eq!(cached(&state), Some(version(1, "icmp")));
    // A roll-back.
    collector.assign(version(1, "icmp"));
    let said = following.says("an end of the refusal", |said| said.refused.is_none()).await;
    assert_eq!(said.held, 1);
    // And an agent that starts with an assignment that its owner does not permit any more.
    drop(following);
    std::fs::write(state.assignment(), serde_json::to_vec(&beyond).unwrap()).unwrap();
    collector.assign(beyond);
    let following = Following::begin(&state, link);
    assert_eq!(*following.current.borrow(), None);
    let said = following.board.get().assignment;
    assert_eq!((said.held, said.refused.map(|refused| refused.set)), (0, Some(2)));
}
