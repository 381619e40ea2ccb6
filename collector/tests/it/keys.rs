//! `/api/v1/keys`: an agent's key over its whole life, and what ends it at once.

use crate::{
    agent::{Agent, Answer, Plan},
    collector::{Collector, NOON},
};
use peerlight_proto::{
    enrolment::EnrolmentToken,
    http::{BATCHES_PATH, KEYS_PATH, WHOAMI_PATH},
    keys::{KeyRequest, KeyStatus, Rotation},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

const DAY: Duration = Duration::from_hours(24);

/// The agent as it signs at the collector's time.
async fn send(collector: &Collector, agent: &Agent, plan: Plan) -> Answer {
    agent.send(&Plan { created: collector.clock.now(), ..plan }).await
}

async fn whoami(collector: &Collector, agent: &Agent) -> (u16, bool) {
    let answer = send(collector, agent, agent.get(WHOAMI_PATH)).await;
    (answer.status.as_u16(), answer.signed)
}

fn claim(agent: &Agent, next: &Agent) -> Rotation {
    Rotation { agent: agent.id, key: agent.public_key(), next: next.public_key(), nonce: rand::random() }
}

fn plan(agent: &Agent, request: &KeyRequest) -> Plan {
    agent.plan(Method::POST, KEYS_PATH, "application/json", serde_json::to_vec(request).unwrap())
}

/// Asks, as `agent`, that the key of `next` follows.
async fn rotate(collector: &Collector, agent: &Agent, next: &Agent) -> Answer {
    let claim = claim(agent, next);
    let request = claim.request(&next.prove(&claim.statement()));
    send(collector, agent, plan(agent, &request)).await
}

fn status(answer: &Answer) -> KeyStatus {
    assert!(answer.signed && answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

fn refusal(answer: &Answer) -> (u16, String, bool) {
    (answer.status.as_u16(), answer.problem(), answer.signed)
}

async fn get(collector: &Collector, path: &str) -> Value {
    collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

async fn shown(collector: &Collector, agent: &Agent) -> Value {
    get(collector, &format!("/api/v1/agents/{}", agent.id)).await
}

async fn audited(collector: &Collector) -> Vec<String> {
    let audit = get(collector, "/api/v1/audit").await;
    audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["what"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_old_key_is_believed_until_the_new_one_is_used_and_never_again() {
    let collector = Collector::start().await;
    let old = Agent::enrolled(&collector, "london-1").await;
    let known = status(&send(&collector, &old, old.get(KEYS_PATH)).await);
    assert_eq!(known.key, hex::encode(old.public_key()));
    assert_eq!((known.since_us, known.expires_us), (NOON.as_micros(), NOON.plus(90 * DAY).as_micros()));

    collector.clock.set(NOON.plus(60 * DAY));
    let new = old.with_key([7; 32]);
    let followed = status(&rotate(&collector, &old, &new).await);
    assert_eq!(followed.key, hex::encode(new.public_key()));
    assert_eq!(followed.expires_us, NOON.plus(150 * DAY).as_micros());
    assert_eq!(whoami(&collector, &old).await, (200, true), "the agent may have died before it heard");
    assert_eq!(shown(&collector, &old).await["next_key"], hex::encode(&new.public_key()[..8]));

    assert_eq!(whoami(&collector, &new).await, (200, true));
    assert_eq!(whoami(&collector, &old).await, (401, false));
    let entry = shown(&collector, &new).await;
    assert_eq!(
        (&entry["key"], &entry["next_key"]),
        (&json!(hex::encode(&new.public_key()[..8])), &Value::Null)
    );
    assert_eq!(entry["key_expires"], "2027-02-18T14:13:20Z", "{entry}");
    assert_eq!(refusal(&rotate(&collector, &new, &old).await), (409, "key-refused".into(), true));
    assert_eq!(audited(&collector).await[..2], ["agent key use", "agent key rotate"]);
}

#[tokio::test]
async fn a_lost_answer_does_no_harm_and_a_lost_key_is_replaced_by_the_next_one() {
    let collector = Collector::start().await;
    let old = Agent::enrolled(&collector, "london-1").await;
    let (lost, new) = (old.with_key([7; 32]), old.with_key([8; 32]));
    let first = status(&rotate(&collector, &old, &lost).await);
    collector.clock.set(NOON.plus(DAY));
    let again = status(&rotate(&collector, &old, &lost).await);
    assert_eq!((&again.key, again.since_us), (&first.key, first.since_us), "its life goes on");
    assert_eq!(audited(&collector).await.iter().filter(|what| *what == "agent key rotate").count(), 1);

    assert_eq!(status(&rotate(&collector, &old, &new).await).since_us, NOON.plus(DAY).as_micros());
    assert_eq!(whoami(&collector, &lost).await, (401, false), "it was never used and never will be");
    assert_eq!(whoami(&collector, &new).await, (200, true));
}

#[tokio::test]
async fn nobody_puts_a_key_in_place_that_is_not_proven_or_is_anothers() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let issued = collector.operator(Method::POST, "/api/v1/tokens").json(&json!({"registration": 1}));
    let issued: Value = issued.send().await.unwrap().json().await.unwrap();
    let token: EnrolmentToken = issued["token"].as_str().unwrap().parse().unwrap();
    let other = Agent::new(&collector, &token.response_key);
    assert_eq!(other.send(&other.enrolment(&token.secret)).await.status, 201);

    let next = agent.with_key([7; 32]);
    let refused = async |claim: Rotation, prover: &Agent| {
        let request = claim.request(&prover.prove(&claim.statement()));
        let answer = agent.send(&plan(&agent, &request)).await;
        assert!(answer.signed);
        answer.problem()
    };
    let claim = claim(&agent, &next);
    assert_eq!(refused(claim, &agent).await, "malformed", "proven by another key");
    assert_eq!(refused(Rotation { agent: other.id, ..claim }, &next).await, "malformed");
    assert_eq!(refused(Rotation { key: other.public_key(), ..claim }, &next).await, "malformed");
    assert_eq!(refused(Rotation { next: agent.public_key(), ..claim }, &agent).await, "malformed");
    assert_eq!(refused(Rotation { next: other.public_key(), ..claim }, &other).await, "key-refused");
    assert_eq!(
        agent.send(&Plan { body: b"{}".to_vec(), ..plan(&agent, &claim.request(&[])) }).await.problem(),
        "malformed"
    );
    assert_eq!(shown(&collector, &agent).await["next_key"], Value::Null);
}

#[tokio::test]
async fn a_rotation_is_believed_once() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let [next, another] = [[7; 32], [8; 32]].map(|seed| agent.with_key(seed));
    let claim = claim(&agent, &next);
    let plan = plan(&agent, &claim.request(&next.prove(&claim.statement())));
    let request = agent.sign(&plan).await;
    assert_eq!(agent.send_signed(request.clone()).await.status, 201);
    status(&rotate(&collector, &agent, &another).await);
    let replayed = agent.send_signed(request).await;
    assert_eq!(refusal(&replayed), (401, "unauthenticated".into(), true));
    let resigned = agent.send(&plan).await;
    assert_eq!(refusal(&resigned), (401, "unauthenticated".into(), true), "the nonce is in the body");
    assert_eq!(shown(&collector, &agent).await["next_key"], hex::encode(&another.public_key()[..8]));
}

#[tokio::test]
async fn an_expired_key_may_only_be_replaced_and_after_the_grace_not_even_that() {
    let collector = Collector::start().await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let push = agent.plan(Method::POST, BATCHES_PATH, "application/vnd.peerlight.batch+protobuf", vec![1]);
    let state = async || {
        shown(&collector, &agent).await["state"]
            .as_array()
            .unwrap()
            .last()
            .map(|one| one.as_str().unwrap().to_owned())
    };
    collector.clock.set(NOON.plus(76 * DAY));
    assert_eq!(state().await.unwrap(), "key expires 2026-12-20T14:13:20Z");
    collector.clock.set(NOON.plus(90 * DAY));
    for plan in [push.clone(), agent.get(WHOAMI_PATH)] {
        let answer = send(&collector, &agent, plan).await;
        assert_eq!(refusal(&answer), (403, "key-expired".into(), true));
        assert!(String::from_utf8_lossy(&answer.body).contains("before 2027-01-19T14:13:20Z"));
    }
    assert_eq!(state().await.unwrap(), "KEY EXPIRED 2026-12-20T14:13:20Z");
    let new = agent.with_key([7; 32]);
    status(&rotate(&collector, &agent, &new).await);
    assert_eq!(whoami(&collector, &new).await, (200, true));

    // The new one is not replaced in time.
    collector.clock.set(NOON.plus(210 * DAY));
    let late = rotate(&collector, &new, &agent.with_key([8; 32])).await;
    assert_eq!(refusal(&late), (403, "key-expired".into(), true));
    assert!(String::from_utf8_lossy(&late.body).contains("peerlight-collector agent token"));
}

#[tokio::test]
async fn an_agent_that_lost_its_key_brings_a_new_one_with_a_token_of_its_own() {
    let collector = Collector::start().await;
    let old = Agent::enrolled(&collector, "london-1").await;
    let issue = async |path: String, body: Value| {
        let issued = collector.operator(Method::POST, &path).json(&body).send().await.unwrap();
        let issued: Value = issued.json().await.unwrap();
        issued["token"]
            .as_str()
            .unwrap_or_else(|| panic!("{issued}"))
            .parse::<EnrolmentToken>()
            .unwrap()
            .secret
    };
    collector.clock.set(NOON.plus(120 * DAY));
    let new = old.with_key([7; 32]);
    let ordinary = issue("/api/v1/tokens".into(), json!({"registration": 1})).await;
    let same_key = send(&collector, &old, old.enrolment(&ordinary)).await;
    assert_eq!(refusal(&same_key), (403, "key-expired".into(), true), "it could not push with it");
    let any_token = send(&collector, &new, new.enrolment(&ordinary)).await;
    assert_eq!(refusal(&any_token), (409, "agent-exists".into(), true));

    let own = issue(format!("/api/v1/agents/{}/tokens", old.id), json!({})).await;
    let response_key = hex::encode([1; 32]);
    let stranger = Agent::new(&collector, &response_key);
    assert_eq!(send(&collector, &stranger, stranger.enrolment(&own)).await.problem(), "token-refused");
    for _again in 0..2 {
        assert_eq!(send(&collector, &new, new.enrolment(&own)).await.status, 201);
    }
    assert_eq!((whoami(&collector, &new).await, whoami(&collector, &old).await), ((200, true), (401, false)));
    let third = old.with_key([8; 32]);
    assert_eq!(send(&collector, &third, third.enrolment(&own)).await.problem(), "token-refused", "used up");
    let back = issue(format!("/api/v1/agents/{}/tokens", old.id), json!({"life_s": 60})).await;
    assert_eq!(
        send(&collector, &old, old.enrolment(&back)).await.problem(),
        "key-refused",
        "it never comes back"
    );
}

/// A way to `to` that counts its connections.
async fn counted(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut outer = TcpStream::connect(to).await.unwrap();
                // Either end may break off.
                let _ = copy_bidirectional(&mut inner, &mut outer).await;
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn revocation_holds_from_the_next_request_on_of_a_connection_that_stays_open() {
    let collector = Collector::start().await;
    let (way, connections) = counted(collector.agents).await;
    let agent = Agent::enrolled(&collector, "london-1").await;
    let agent = agent.through(way);
    let ask = async || agent.send(&agent.get(WHOAMI_PATH)).await;
    let open = connections.load(Ordering::SeqCst);
    assert_eq!((ask().await.status.as_u16(), ask().await.status.as_u16()), (200, 200));
    let revoked =
        collector.operator(Method::DELETE, &format!("/api/v1/agents/{}", agent.id)).send().await.unwrap();
    assert_eq!(revoked.status(), 200);
    assert_eq!(refusal(&ask().await), (403, "forbidden".into(), true));
    let rotation = rotate(&collector, &agent, &agent.with_key([7; 32])).await;
    assert_eq!(refusal(&rotation), (403, "forbidden".into(), true), "no new key leads around it");
    assert_eq!(connections.load(Ordering::SeqCst) - open, 1, "all of it over one connection");
}

#[tokio::test]
async fn an_operator_token_and_its_sessions_end_with_its_revocation() {
    let collector = Collector::start().await;
    let new = json!({"name": "ana", "role": "administrator"});
    let issued = collector.operator(Method::POST, "/api/v1/operators").json(&new).send().await.unwrap();
    let issued: Value = issued.json().await.unwrap();
    let token = issued["token"].as_str().unwrap();
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let at = |path: &str| format!("http://{}{path}", collector.operators);
    let form = http
        .post(at("/sign-in"))
        .header("origin", at(""))
        .header("content-type", "application/x-www-form-urlencoded");
    let signed_in = form.body(format!("token={token}")).send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let ask = async || {
        let (by_token, by_cookie) = (http.get(at("/api/v1/status")), http.get(at("/api/v1/status")));
        let by_token = by_token.bearer_auth(token).send().await.unwrap().status().as_u16();
        (by_token, by_cookie.header("cookie", &cookie).send().await.unwrap().status().as_u16())
    };
    assert_eq!(ask().await, (200, 200));
    let path = format!("/api/v1/operators/{}", issued["id"]);
    assert_eq!(collector.operator(Method::DELETE, &path).send().await.unwrap().status(), 200);
    assert_eq!(ask().await, (401, 401));
}
