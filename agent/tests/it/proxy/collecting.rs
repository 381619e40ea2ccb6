//! Enrolment, push and assignment through a proxy; `whoami` and a running agent.

use super::{
    server::{Manner, TestProxy},
    through,
};
use crate::{
    collector::{Collector, applicant},
    probe::servers::Https,
    process::{Running, agent, eventually, text},
    push::open_spool,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{
    assignment::{Fetched, fetch},
    clock::Clock,
    credential::load_or_create,
    enrol::enrol,
    exchange::Source,
    link::Link,
    offset::Offset,
    paths::StateDir,
    probe::Departure,
    proxy::Proxies,
    push::{Patience, Push},
    spool::{Spool, SpoolSettings},
    status::{Board, PushState},
    trust::CollectorTrust,
};
use peerlight_proto::{
    assignment::Assignment,
    codec::decode_batch,
    metric::Metric,
    series::{Family, Path},
    time::Timestamp,
};
use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, sync::Arc};

const SESSION: peerlight_proto::id::SessionId = peerlight_proto::id::SessionId::new([9; 16]);
/// What `printf agent-7:sesame | base64` says, as a proxy is told it.
const SIGNED_ON: &str = "Basic YWdlbnQtNzpzZXNhbWU=";

/// An agent that enrolled through these proxies.
async fn enrolled(collector: &Collector, state: &StateDir, proxies: Proxies) -> Link {
    let mut applicant = applicant(state, Clock::system());
    applicant.proxies = proxies.clone();
    enrol(&applicant, &collector.token, None).await.unwrap();
    let (key, clock) = (applicant.key, applicant.clock);
    Link {
        uplinks: Vec::new(),
        state: state.clone(),
        trust: CollectorTrust::Pinned,
        proxies,
        key,
        clock,
        offset: Offset::default(),
    }
}

#[tokio::test]
async fn enrolment_push_and_assignment_go_through_the_proxy_and_whoami_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(Clock::system()).await;
    let proxy = TestProxy::start(Manner::OpenTo(SIGNED_ON)).await;
    let to = collector.token.collector.strip_prefix("https://").unwrap().to_owned();
    let link =
        enrolled(&collector, &StateDir::new(directory.path()), through(&proxy, "agent-7:sesame@")).await;
    assert_eq!(proxy.asked().len(), 1, "the enrolment");

    let spool = open_spool(&link);
    spool
        .append(SESSION, vec![crate::push::draft(0, 1)], Timestamp::from_secs(1_800_000_000), None)
        .await
        .unwrap();
    let pushing =
        tokio::spawn(Push::new(spool.clone(), link.clone(), Board::default(), Patience::default()).run());
    collector.until("the batch", |seen| seen.stored.len() == 1).await;
    pushing.abort();
    assert_eq!(proxy.asked().len(), 2, "the push");

    let enrolment = link.enrolment().unwrap().unwrap();
    collector.assign(Assignment { version: "7".to_owned(), ..Assignment::default() });
    let exchange = link.open(&enrolment, Source::System).unwrap();
    assert!(matches!(fetch(&exchange, None).await.unwrap(), Fetched::Changed(_)));
    let asked = proxy.asked();
    assert_eq!(asked.len(), 3, "the assignment");
    assert!(asked.iter().all(|one| one.to == to && one.authorization.as_deref() == Some(SIGNED_ON)));

    let departure = Departure { source: Some("127.0.0.9".parse().unwrap()), ..Departure::of(Family::V4) };
    let exchange = link.open(&enrolment, Source::Bound(departure)).unwrap();
    fetch(&exchange, None).await.unwrap();
    assert_eq!(proxy.asked().len(), 3, "what is bound to the probes' source goes straight");
}

#[tokio::test]
async fn a_proxy_that_refuses_keeps_the_batch_and_the_status_says_why_without_the_password() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(Clock::system()).await;
    let proxy = TestProxy::start(Manner::OpenTo("Basic somebody else's")).await;
    let mut link = collector.enrol(&StateDir::new(directory.path()), Clock::system()).await;
    link.proxies = through(&proxy, "agent-7:sesame@");
    let (spool, board) = (open_spool(&link), Board::default());
    spool
        .append(SESSION, vec![crate::push::draft(0, 1)], Timestamp::from_secs(1_800_000_000), None)
        .await
        .unwrap();
    tokio::spawn(Push::new(spool.clone(), link, board.clone(), Patience::default()).run());
    let reason = eventually("the reason", || match board.get().push {
        PushState::Retrying { reason } => Some(reason),
        PushState::NotEnrolled | PushState::Idle | PushState::Delivering | PushState::Stopped { .. } => None,
    })
    .await;
    assert!(reason.contains("proxy authorization required"), "{reason}");
    assert!(!reason.contains("sesame") && !reason.contains("YWdl"), "{reason}");
    assert_eq!((spool.counts().batches, collector.seen.borrow().stored.len()), (1, 0));
}

/// Starts the program with a proxy of its configuration, which it signs on to, and probes a server by both paths.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_measures_both_paths_as_series_of_their_own_and_shows_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let server = Https::start("h2", 200, 1).await;
    let proxy = TestProxy::start(Manner::OpenTo(SIGNED_ON)).await;
    let password = directory.path().join("password");
    fs::write(&password, "sesame\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let config = directory.path().join("agent.toml");
    let state = directory.path().join("state");
    let text_of = format!(
        r#"
        state = {state:?}
        [[target]]
        name = "both"
        address = "127.0.0.1"
        probes = ["https:{}"]
        interval = "100ms"
        [probing]
        families = ["v4"]
        [proxy]
        use = "static"
        url = "http://{}"
        username = "agent-7"
        password_file = {password:?}
        probe = "both"
        [https]
        ca_file = {:?}
        [limits]
        allow = ["127.0.0.0/8"]
        "#,
        server.port,
        proxy.address,
        server.authority.path(),
    );
    fs::write(&config, text_of).unwrap();
    let config = config.to_string_lossy().into_owned();
    let log = directory.path().join("log");
    let child = agent(&["run", "--config", &config])
        .env("PEERLIGHT_LOG", "trace")
        // The configuration says otherwise.
        .env("HTTPS_PROXY", "http://nobody.invalid:1")
        .stderr(Stdio::from(fs::File::create(&log).unwrap()))
        .spawn()
        .unwrap();
    let mut running = Running(child);
    eventually("probes by both paths", || {
        (proxy.asked().len() >= 3 && server.requested() >= 8).then_some(())
    })
    .await;
    let status = agent(&["status", "--config", &config]).output().unwrap();
    kill(Pid::from_raw(running.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let code = eventually("the end", || running.0.try_wait().unwrap()).await;
    let log = fs::read_to_string(&log).unwrap();
    assert!(code.success(), "{log}");
    assert!(log.contains("what is not excepted goes through a proxy"), "{log}");
    assert!(status.status.success(), "{status:?}");
    let checked = agent(&["check-config", "--config", &config, "--format", "json"]).output().unwrap();
    for shown in [log, text(&status.stdout), text(&checked.stdout)] {
        assert!(!shown.contains("sesame") && !shown.contains("YWdlbnQtNz"), "{shown}");
    }

    let state = StateDir::new(state);
    let key = Arc::new(load_or_create(&state).unwrap());
    let mut spool = Spool::open(&state.spool(), key.agent(), SpoolSettings::default()).unwrap();
    let keys: Vec<_> = spool.keys().collect();
    let mut answered = [0, 0];
    let mut tunnels = 0;
    for key in keys {
        let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
        for one in &batch.measurements {
            let series = &batch.series[one.series as usize].key;
            match (series.metric, series.path) {
                (Metric::HttpsTotal, Path::Direct) => answered[0] += one.counters.answered,
                (Metric::HttpsTotal, Path::Proxy) => answered[1] += one.counters.answered,
                (Metric::HttpsProxy, path) => {
                    assert_eq!(path, Path::Proxy);
                    tunnels += one.counters.answered;
                }
                _ => {}
            }
        }
    }
    assert!(answered[0] >= 3 && answered[1] >= 3 && tunnels >= answered[1], "{answered:?} {tunnels}");
}

#[test]
fn an_environment_that_no_agent_can_use_ends_it_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("agent.toml");
    fs::write(&config, format!("state = {:?}\n", directory.path().join("state"))).unwrap();
    let mut command = agent(&["run", "--config", &config.to_string_lossy()]);
    let output = command.env("https_proxy", "socks5://me:hunter2@proxy.test").output().unwrap();
    let reason = text(&output.stderr);
    assert!(
        output.status.code() == Some(78)
            && reason.contains("https_proxy names a proxy that is spoken to by socks5"),
        "{reason}"
    );
    assert!(!reason.contains("hunter2"), "{reason}");
}
