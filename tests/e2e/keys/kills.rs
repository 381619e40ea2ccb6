//! A real agent's process that is killed at every message between it and its collector, while its key is due all the time.
//!
//! Not the time decides when it dies but what it has said and heard: the way to the collector counts messages, and the one
//! that is named is the last, whether it still arrives or not.

use crate::{
    agent_file::write_agent_file,
    scene::{Agent, DAY, Scene, WAIT},
};
use peerlight_agent::{clock::Clock as AgentClock, status};
use peerlight_collector::{clock::Clock, config::Keys};
use peerlight_lab::eventually::{Look, eventually};
use peerlight_proto::keys::fingerprint;
use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::watch,
};

/// The process dies at each of its first messages; a handshake takes about four of them, a question and its answer two.
const MESSAGES: u32 = 36;
/// Keys that are due as soon as they are there. Expired ones may be replaced for long.
const ALWAYS_DUE: Keys = Keys { lifetime: Duration::from_millis(1), grace: Duration::from_hours(24) };

/// The last message, and whether it arrives.
#[derive(Debug, Clone, Copy)]
struct Last {
    left: u32,
    arrives: bool,
}

/// The way to the collector.
#[derive(Clone)]
struct Road {
    /// None: nobody dies.
    last: Arc<Mutex<Option<Last>>>,
    /// Whether the last message was due.
    over: watch::Sender<bool>,
}

impl Road {
    fn open(listener: std::net::TcpListener, to: SocketAddr) -> Self {
        let road = Self { last: Arc::default(), over: watch::Sender::new(false) };
        listener.set_nonblocking(true).unwrap();
        let (listener, opened) = (TcpListener::from_std(listener).unwrap(), road.clone());
        tokio::spawn(async move {
            while let Ok((agent, _)) = listener.accept().await {
                let Ok(collector) = TcpStream::connect(to).await else { continue };
                let ((from_agent, to_agent), (from_collector, to_collector)) =
                    (agent.into_split(), collector.into_split());
                tokio::spawn(opened.clone().carry(from_agent, to_collector));
                tokio::spawn(opened.clone().carry(from_collector, to_agent));
            }
        });
        road
    }

    /// Carries messages until either end breaks off, or the last one was due.
    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut message = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut message).await {
            let last = self.is_last();
            if last.is_none_or(|last| last.arrives) && to.write_all(&message[..length]).await.is_err() {
                return;
            }
            if last.is_some() {
                self.over.send_replace(true);
                return;
            }
        }
    }

    /// Counts a message; its verdict if it is the last, or comes after that.
    fn is_last(&self) -> Option<Last> {
        let mut last = self.last.lock().unwrap();
        let counted = last.as_mut()?;
        counted.left = counted.left.saturating_sub(1);
        (counted.left == 0).then_some(*counted)
    }

    fn set(&self, last: Option<Last>) {
        *self.last.lock().unwrap() = last;
        self.over.send_replace(false);
    }

    async fn is_over(&self) {
        let over = async { self.over.subscribe().wait_for(|over| *over).await.map(|_over| ()) };
        tokio::time::timeout(WAIT, over).await.unwrap().unwrap();
    }
}

fn start(agent: &Agent, target: SocketAddr) -> Child {
    let path = write_agent_file(&agent.home(), target, Duration::from_millis(200), "");
    Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
        .args(["run", "--config"])
        .arg(path)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_at_every_message_never_loses_its_way_back() {
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (entrance, collector) = (bind(), bind());
    let url = format!("https://{}", entrance.local_addr().unwrap());
    let mut scene = Scene::start_behind(Clock::system(), Some((collector, url)), ALWAYS_DUE).await;
    let road = Road::open(entrance, scene.agents_at());
    let agent = Agent::enrolled(&scene, AgentClock::system()).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target_at = target.local_addr().unwrap();
    tokio::spawn(async move { while target.accept().await.is_ok() {} });

    for left in 1..=MESSAGES {
        for arrives in [false, true] {
            road.set(Some(Last { left, arrives }));
            let mut process = start(&agent, target_at);
            road.is_over().await;
            process.kill().await.unwrap();
            let keys = agent.keys();
            let known = [Some(keys.public_key()), keys.next().unwrap().map(|next| next.public_key())];
            let entry = scene.shown(&agent).await;
            let believed = [Some(entry.key), entry.next_key];
            assert!(
                known.iter().flatten().any(|key| believed.contains(&Some(fingerprint(key)))),
                "the collector believes none of the agent's keys after message {left}"
            );
        }
    }
    let used = scene.audited("agent key use").await;
    assert!(used >= 3, "the key was replaced {used} times only: hardly anything was killed in between");

    // With a life in which a key may be used, everything is delivered.
    scene.restart(Keys { lifetime: 90 * DAY, ..ALWAYS_DUE }, |_directory| ()).await;
    road.set(None);
    let started = AgentClock::system().wall().as_micros();
    let mut process = start(&agent, target_at);
    eventually("an acknowledgement and a key of one mind", WAIT, async || {
        let status = status::ask(&agent.state()).await.unwrap_or_default();
        let acknowledged = status.last_ack_us.is_some_and(|at| at > started);
        let key = status.key.map(|key| key.key);
        let shown = scene.shown(&agent).await;
        if acknowledged && key.as_ref() == Some(&shown.key) && shown.next_key.is_none() {
            Look::Holds(())
        } else {
            Look::NotYet(format!("{key:?} {:?} {:?}", status.push, status.key_problem))
        }
    })
    .await
    .unwrap();
    process.kill().await.unwrap();
}
