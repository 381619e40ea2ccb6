//! A machine whose network vanishes: nothing that could not be sent is a loss, and the agent goes on when it is back.

use crate::{
    agent_file::write_agent_file,
    namespace::{Namespace, Part},
    process::{Running, agent, eventually, status},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use peerlight_agent::{paths::StateDir, spool::record::Record};
use peerlight_proto::{codec::decode_batch, measurement::Counters, metric::Metric};
use std::{ffi::OsStr, fs, process::Stdio, time::Duration};

/// A machine with one interface.
const WIRE: &str = "ip link set lo up; ip link add wire type veth peer name far; ip link set far up; \
    ip address add 198.18.0.1/24 dev wire; ip link set wire up";

/// What became of the connects that an agent spooled.
fn connects(state: &StateDir) -> Counters {
    let mut all = Counters::default();
    for entry in fs::read_dir(state.spool()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "batch") {
            let file = fs::read(path).unwrap();
            let batch = decode_batch(Record::parse(&file).unwrap().bytes).unwrap().batch;
            let is_connect = |series: u32| batch.series[series as usize].key.metric == Metric::TcpConnect;
            let measured = batch.measurements.iter().filter(|measurement| is_connect(measurement.series));
            measured.for_each(|measurement| all.merge(&measurement.counters));
        }
    }
    all
}

/// How many were sent, and answered by nobody.
fn unanswered(counters: &Counters) -> u64 {
    counters.lost + counters.refused
}

#[tokio::test]
async fn a_network_that_vanishes_is_no_loss_and_no_end() {
    let nothing = OsStr::new("");
    let Some(network) = Namespace::new(Part::Network, WIRE, nothing) else { return };
    let home = tempfile::tempdir().unwrap();
    let configuration =
        write_agent_file(home.path(), "127.0.0.1:9".parse().unwrap(), Duration::from_millis(50), "");
    let text = fs::read_to_string(&configuration).unwrap();
    // Nobody has this address. The machine reaches its own ones however its interfaces are.
    let text = text.replace("127.0.0.1", "198.18.0.2").replace("127.0.0.0/8", "198.18.0.0/15");
    fs::write(&configuration, text).unwrap();
    let state = StateDir::new(home.path().join("state"));
    let mut program = network.run(&agent(&["run", "--config", &configuration.to_string_lossy()]));
    let mut running = Running(program.stderr(Stdio::null()).spawn().unwrap());
    let once = async |what: &str, is: &dyn Fn(&Counters) -> bool| {
        eventually(what, || {
            let told = status(&state).filter(|told| told.spool.batches > 0)?;
            Some(connects(&state)).filter(is).map(|counters| (counters, told.pid))
        })
        .await
    };
    let (before, process) = once("unanswered probes", &|counters| unanswered(counters) >= 10).await;
    assert_eq!(before.send_failed, 0);
    network.change("ip link set wire down", nothing);
    let (down, _) = once("what cannot be sent", &|counters| counters.send_failed >= 30).await;
    let (later, _) = once("more of it", &|counters| counters.send_failed >= down.send_failed + 30).await;
    assert_eq!(unanswered(&later), unanswered(&down), "what was not sent is not lost");
    network.change("ip link set wire up", nothing);
    let (_, same) =
        once("unanswered probes again", &|counters| unanswered(counters) >= unanswered(&later) + 30).await;
    assert_eq!(same, process);
    kill(Pid::from_raw(running.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(eventually("the end", || running.0.try_wait().unwrap()).await.success());
    let all = connects(&state);
    let accounted = all.skipped + all.voided + all.send_failed + all.retransmitted + unanswered(&all);
    assert_eq!(all.scheduled, accounted, "{all:?}");
}
