//! The public address, asked of a real collector.

use crate::collector::{Collector, Mood};
use peerlight_agent::{
    cadence::Cadence,
    clock::Clock,
    observe::{Observations, Observer},
    paths::StateDir,
    probe::Departure,
    status::Board,
};
use peerlight_proto::series::Family;
use std::{net::IpAddr, time::Duration};

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));
const CADENCE: Cadence = Cadence {
    period: Duration::from_millis(10),
    retry: Duration::from_millis(10),
    look: Duration::from_millis(10),
};

async fn observer(collector: &Collector, state: &StateDir, cadence: Cadence) -> Observer {
    Observer {
        link: collector.enrol(state, Clock::system()).await,
        uplink: None,
        departure: Departure { source: Some(SOURCE), ..Departure::of(Family::V4) },
        observations: Observations::default(),
        board: Board::default(),
        cadence,
    }
}

#[tokio::test]
async fn the_address_is_asked_for_from_the_probes_source_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(Clock::system()).await;
    let observer = observer(&collector, &StateDir::new(directory.path()), CADENCE).await;
    let (observations, board) = (observer.observations.clone(), observer.board.clone());
    let began = observer.link.clock.read().monotonic;
    let observing = tokio::spawn(observer.run());
    let seen = collector.until("two callers", |seen| seen.callers.len() >= 2).await;
    assert!(seen.callers.iter().all(|caller| *caller == SOURCE), "{:?}", seen.callers);
    let (address, at) = observations.get()[&Family::V4];
    assert!(address == SOURCE && at >= began);
    assert_eq!(board.get().observed["v4"], SOURCE);
    collector.until("a TLS session that was resumed", |seen| seen.resumed > 0).await;
    observing.abort();
}

#[tokio::test]
async fn an_address_that_the_collector_did_not_sign_for_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(Clock::system()).await;
    let observer = observer(&collector, &StateDir::new(directory.path()), CADENCE).await;
    let observations = observer.observations.clone();
    let observing = tokio::spawn(observer.run());
    for mood in [Mood::Portal, Mood::Forge] {
        collector.set_mood(mood);
        let before = collector.seen.borrow().requests;
        collector.until("two attempts", |seen| seen.requests >= before + 2).await;
    }
    assert!(observations.get().is_empty());
    observing.abort();
}
