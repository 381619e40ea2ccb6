//! A running agent between an honest server and an inspecting middlebox: what it spools, logs and shows.

use crate::{
    probe::servers::{Dns, Https, Reply, Say},
    process::{Running, agent, eventually, status, text},
};
use bytes::Bytes;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{
    credential::load_or_create,
    paths::StateDir,
    spool::{Spool, SpoolSettings},
};
use peerlight_proto::{
    batch::Batch,
    codec::decode_batch,
    measurement::{Counters, Measurement},
    metric::Metric,
};
use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

async fn server(headers: &[(&'static str, &str)]) -> Https {
    let headers = headers.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    Https::answering("h2", Reply { status: 200, headers, body: Bytes::new() }).await
}

fn configuration(directory: &Path, honest: &Https, inspecting: &Https, dns: &Dns) -> String {
    let authorities = [honest, inspecting].map(|server| fs::read_to_string(server.authority.path()).unwrap());
    let ca_file = directory.join("ca.pem");
    fs::write(&ca_file, authorities.concat()).unwrap();
    let configuration = format!(
        r#"
        state = {:?}
        [[target]]
        name = "honest"
        address = "127.0.0.1"
        probes = ["https:{}"]
        interval = "100ms"
        [[target]]
        name = "inspected"
        address = "peerlight.test"
        probes = ["https:{}"]
        interval = "100ms"
        issuer = "Microsoft Corporation"
        [probing]
        families = ["v4"]
        [resolver]
        servers = ["{}"]
        [https]
        ca_file = {ca_file:?}
        [limits]
        allow = ["127.0.0.0/8"]
        "#,
        directory.join("state"),
        honest.port,
        inspecting.port,
        dns.address,
    );
    let path = directory.join("agent.toml");
    fs::write(&path, configuration).unwrap();
    path.to_string_lossy().into_owned()
}

fn spooled(state: &StateDir) -> Vec<Batch> {
    let agent = load_or_create(state).unwrap().agent();
    let mut spool = Spool::open(&state.spool(), agent, SpoolSettings::default()).unwrap();
    let keys: Vec<_> = spool.keys().collect();
    let read = |key| decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
    keys.into_iter().map(read).collect()
}

/// What was counted of a metric of a target, and how often an attribute was seen with it.
fn counted(batches: &[Batch], target: &str, metric: Metric, (kind, value): (&str, &str)) -> (Counters, u64) {
    let all = batches.iter().flat_map(|batch| {
        let series = |one: &Measurement| &batch.series[one.series as usize];
        batch
            .measurements
            .iter()
            .filter(move |one| series(one).target.name == target && series(one).key.metric == metric)
    });
    let mut sum = (Counters::default(), 0);
    for one in all {
        sum.0.merge(&one.counters);
        let seen =
            one.attributes.iter().filter(|seen| (seen.kind.as_str(), seen.value.as_str()) == (kind, value));
        sum.1 += seen.map(|seen| seen.count).sum::<u64>();
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn inspection_is_refused_told_once_and_shown_and_a_front_door_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (honest, inspecting) = (server(&[("x-firsthopcafeefz", "AMS")]).await, server(&[]).await);
    let dns = Dns::start(Say::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), Say::NoData).await;
    let config = configuration(directory.path(), &honest, &inspecting, &dns);
    let state = StateDir::new(directory.path().join("state"));
    let log = directory.path().join("log");
    let child = agent(&["run", "--config", &config]).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let mut running = Running(child);
    let status = eventually("a status with a notice", || {
        status(&state).filter(|status| !status.notices.is_empty() && status.measuring.turns >= 20)
    })
    .await;
    let notice = "TLS is inspected: the certificate is of CN=Test Authority, not of Microsoft Corporation";
    assert!(status.notices.len() == 1 && status.notices[0].ends_with(notice), "{:?}", status.notices);
    let shown = text(&agent(&["status", "--config", &config]).output().unwrap().stdout);
    assert!(shown.contains(notice), "{shown}");

    kill(Pid::from_raw(running.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(eventually("the end", || running.0.try_wait().unwrap()).await.success());
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("somebody else answers in its place").count(), 1, "{log}");

    let batches = spooled(&state);
    for metric in [Metric::HttpsTcp, Metric::HttpsTls, Metric::HttpsTotal] {
        let interception = ("interception", "certificate issuer");
        let (counters, intercepted) = counted(&batches, "inspected", metric, interception);
        assert!(counters.refused >= 5 && counters.answered == 0, "{metric:?} {counters:?}");
        assert_eq!(intercepted, counters.refused, "{metric:?}");
    }
    let (counters, seen) = counted(&batches, "honest", Metric::HttpsTtfb, ("front_door", "AMS"));
    assert!(counters.answered >= 5, "{counters:?}");
    assert_eq!(seen, counters.answered + counters.late, "{counters:?}");
    assert_eq!(inspecting.requested(), 0);
}
