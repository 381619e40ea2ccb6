//! The assignment, fetched from a real collector.

use crate::collector::{Collector, Mood};
use peerlight_agent::{assignment, cadence::Cadence, clock::Clock, paths::StateDir};
use peerlight_proto::{
    assignment::{AssignedTarget, Assignment},
    target::Target,
};
use std::time::Duration;
use tokio::sync::watch;

const CADENCE: Cadence = Cadence {
    period: Duration::from_millis(10),
    retry: Duration::from_millis(10),
    look: Duration::from_millis(10),
};

fn version(version: &str) -> Assignment {
    let target = Target {
        name: "a".to_owned(),
        service: String::new(),
        address: "a.example".parse().unwrap(),
        probe: "icmp".parse().unwrap(),
    };
    let targets = vec![AssignedTarget { target, interval_ms: Some(5_000) }];
    Assignment { version: version.to_owned(), targets }
}

/// Waits until this assignment is in force.
async fn in_force(current: &mut watch::Receiver<Option<Assignment>>, expected: &Assignment) {
    let waiting = current.wait_for(|assignment| assignment.as_ref() == Some(expected));
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_new_assignment_comes_into_force_and_is_kept_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::new(directory.path());
    let collector = Collector::start(Clock::system()).await;
    collector.assign(version("1"));
    let link = collector.enrol(&state, Clock::system()).await;
    let (sender, mut current) = watch::channel(assignment::cached(&state));
    let following = tokio::spawn(assignment::follow(link, sender, CADENCE));
    in_force(&mut current, &version("1")).await;
    collector.until("an unchanged assignment", |seen| seen.unchanged > 0).await;
    collector.assign(version("2"));
    in_force(&mut current, &version("2")).await;
    assert_eq!(assignment::cached(&state), Some(version("2")));
    following.abort();
}

#[tokio::test]
async fn an_assignment_that_the_collector_did_not_sign_steers_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::new(directory.path());
    let collector = Collector::start(Clock::system()).await;
    collector.assign(version("1"));
    let link = collector.enrol(&state, Clock::system()).await;
    let (sender, mut current) = watch::channel(None);
    let following = tokio::spawn(assignment::follow(link, sender, CADENCE));
    in_force(&mut current, &version("1")).await;
    for mood in [Mood::Portal, Mood::Forge] {
        collector.set_mood(mood);
        collector.assign(version("evil"));
        let before = collector.seen.borrow().requests;
        collector.until("two attempts", |seen| seen.requests >= before + 2).await;
    }
    assert_eq!(*current.borrow(), Some(version("1")));
    assert_eq!(assignment::cached(&state), Some(version("1")));
    following.abort();
}
