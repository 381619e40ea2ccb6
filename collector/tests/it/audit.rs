//! The audit: who changed what, from what to what. Every request that changes the registry is walked, as the API's own
//! document lists them, so that a new one without an entry fails here.

use crate::{
    agent::Agent,
    collector::{Collector, NOON},
};
use peerlight_collector::{
    alert::{Doors, Ground, Reading, Spot, turn},
    organisation::OrganisationId,
    paths,
    registry::{AuditEntry, Registry},
    router,
};
use peerlight_proto::{enrolment::EnrolmentToken, metric::Metric};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// What an entry holds of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sides {
    Before,
    After,
    Both,
}

impl Sides {
    fn of(entry: &AuditEntry) -> Option<Self> {
        match (&entry.before, &entry.after) {
            (Some(_), Some(_)) => Some(Self::Both),
            (Some(_), None) => Some(Self::Before),
            (None, Some(_)) => Some(Self::After),
            (None, None) => None,
        }
    }
}

/// A request that changes something, and what stands in the audit then, the first entry first.
struct Change {
    method: Method,
    template: &'static str,
    path: &'static str,
    body: Value,
    entries: Vec<(&'static str, Sides)>,
}

fn post(path: &'static str, body: Value, entries: &[(&'static str, Sides)]) -> Change {
    Change { method: Method::POST, template: path, path, body, entries: entries.to_vec() }
}

fn delete(template: &'static str, path: &'static str, what: &'static str) -> Change {
    Change { method: Method::DELETE, template, path, body: Value::Null, entries: vec![(what, Sides::Both)] }
}

/// Every change that an operator can make, in an order in which each is possible. `{agent}` stands for an enrolled agent.
fn changes() -> Vec<Change> {
    use Sides::{After, Before, Both};
    let registration = |site: &str, prefix: &str| {
        json!({"site": site, "provider": "Example Telecom", "location": "GB-LND", "prefixes": [prefix],
            "allow_non_public": true, "valid_from": "2026-01-01T00:00:00Z"})
    };
    vec![
        post("/api/v1/providers", json!({"name": "BBIX", "kind": "IXP"}), &[("provider add", After)]),
        post(
            "/api/v1/locations",
            json!({"code": "FR-IDF", "time_zone": "Europe/Paris"}),
            &[("location add", After)],
        ),
        post("/api/v1/registrations/check", registration("leeds-1", "198.51.100.0/24"), &[]),
        post(
            "/api/v1/registrations",
            registration("leeds-1", "198.51.100.0/24"),
            &[("registration add", After)],
        ),
        post(
            "/api/v1/registrations/import",
            json!(
                "site,provider,location,prefixes,allow_non_public\nleeds-2,Example Telecom,GB-LND,203.0.113.0/24,true\n"
            ),
            &[("registration import", After)],
        ),
        post(
            "/api/v1/reattributions",
            json!({"from": 1, "to": 2, "since": "2026-02-01", "until": "2026-02-02", "reason": "a test"}),
            &[("registration reattribute", Both)],
        ),
        post(
            "/api/v1/targets",
            json!({"name": "door", "address": "outlook.office365.com", "probes": ["icmp"]}),
            &[("target add", After)],
        ),
        post(
            "/api/v1/targets",
            json!({"name": "gate", "address": "teams.microsoft.com", "probes": ["icmp"], "staged": true}),
            &[("target add", After)],
        ),
        post("/api/v1/target-sets/roll-out", json!({"share_permille": 100}), &[("target roll-out", Both)]),
        post("/api/v1/target-sets/roll-back", json!({}), &[("target roll-back", Both)]),
        post("/api/v1/tokens", json!({"registration": 1}), &[("token create", After)]),
        delete("/api/v1/tokens/{id}", "/api/v1/tokens/2", "token revoke"),
        Change {
            template: "/api/v1/agents/{id}/tokens",
            ..post("/api/v1/agents/{agent}/tokens", json!({}), &[("agent token", After)])
        },
        Change {
            template: "/api/v1/agents/{id}/tags",
            ..post("/api/v1/agents/{agent}/tags", json!({"add": ["till"]}), &[("agent tag", Both)])
        },
        delete("/api/v1/agents/{id}", "/api/v1/agents/{agent}", "agent revoke"),
        Change {
            template: "/api/v1/agents/{id}/retirement",
            ..post("/api/v1/agents/{agent}/retirement", json!({}), &[("agent retire", Both)])
        },
        Change {
            template: "/api/v1/alerts/{id}/acknowledgement",
            ..post("/api/v1/alerts/1/acknowledgement", json!({}), &[("alert acknowledge", Both)])
        },
        Change {
            template: "/api/v1/alerts/{id}/silence",
            ..post("/api/v1/alerts/1/silence", json!({"until": "2026-09-22"}), &[("alert silence", Both)])
        },
        Change {
            method: Method::PUT,
            ..post("/api/v1/alerts/rules", json!({"rules": []}), &[("alert rules", Both)])
        },
        post(
            "/api/v1/alerts/maintenance",
            json!({"to": "2026-09-22", "reason": "a new router"}),
            &[("alert maintenance add", After)],
        ),
        delete("/api/v1/alerts/maintenance/{id}", "/api/v1/alerts/maintenance/1", "alert maintenance end"),
        post("/api/v1/alerts/replay", json!({"last": "1h"}), &[]),
        post("/api/v1/provider-links", json!({"provider": "BBIX"}), &[("provider link create", After)]),
        delete("/api/v1/provider-links/{id}", "/api/v1/provider-links/1", "provider link revoke"),
        post("/api/v1/operators", json!({"name": "ben", "role": "reader"}), &[("operator create", After)]),
        // A lost token is replaced by one of the same name.
        post(
            "/api/v1/operators",
            json!({"name": "ben", "role": "reader"}),
            &[("operator revoke", Both), ("operator create", After)],
        ),
        delete("/api/v1/operators/{id}", "/api/v1/operators/4", "operator revoke"),
        Change {
            entries: vec![("session end", Before)],
            ..delete("/api/v1/sessions/{id}", "/api/v1/sessions/1", "session end")
        },
        Change {
            entries: vec![("target remove", Before)],
            ..delete("/api/v1/targets/{id}", "/api/v1/targets/1", "target remove")
        },
        delete("/api/v1/registrations/{id}", "/api/v1/registrations/2", "registration end"),
        delete("/api/v1/locations/{id}", "/api/v1/locations/2", "location end"),
        delete("/api/v1/providers/{id}", "/api/v1/providers/2", "provider end"),
    ]
}

/// Makes alert 1, as the collector does that finds a loss.
fn begin_an_alert(collector: &Collector) {
    let registry = Registry::open(&paths::registry(&collector.directory)).unwrap();
    let spot = Spot { provider: "a".into(), location: "b".into(), site: "c".into(), target: "d".into() };
    let lost = Reading {
        rule: "loss".into(),
        spot,
        metric: Metric::IcmpRtt,
        value: Some(1.0),
        at_least: Some(0.9),
        samples: 30,
        detail: None,
        from: NOON,
        to: NOON,
    };
    let (readings, doors) = ([lost], Doors::default());
    let begun = registry.turn_alerts(OrganisationId::DEFAULT, &[], NOON, |standing, rules, maintenance| {
        let ground = Ground { rules, maintenance, readings: &readings, doors: &doors, doors_before: &doors };
        turn(standing, &ground, NOON)
    });
    assert_eq!(begun.unwrap().1.len(), 1);
}

/// Every request of the API's document that is not only a question, but those of agents.
fn changing_requests() -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(router::document()).unwrap();
    let mut requests = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let is_agents = operation["tags"].as_array().unwrap().contains(&json!("agents"));
            if !["get", "head", "options"].contains(&method.as_str()) && !is_agents {
                requests.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    requests
}

/// The whole audit, the first entry first.
async fn audit(collector: &Collector) -> Vec<AuditEntry> {
    let list = collector.operator(Method::GET, "/api/v1/audit?limit=1000").send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let mut entries: Vec<AuditEntry> = serde_json::from_value(list["items"].clone()).unwrap();
    entries.reverse();
    entries
}

/// Every text under a key `token` in a document.
fn tokens(document: &Value) -> Option<String> {
    document["token"].as_str().map(ToOwned::to_owned)
}

#[tokio::test]
async fn every_change_of_an_operator_says_who_what_before_and_after_and_holds_no_secret() {
    let collector = Collector::start().await;
    let enrolment = collector.token("london-1").await;
    let agent = Agent::new(&collector, &enrolment.response_key);
    assert_eq!(agent.send(&agent.enrolment(&enrolment.secret)).await.status, 201);
    begin_an_alert(&collector);
    let ana = collector.operator(Method::POST, "/api/v1/operators");
    let ana = ana.json(&json!({"name": "ana", "role": "administrator"})).send().await.unwrap();
    let ana = tokens(&ana.json().await.unwrap()).unwrap();
    // Her browser's session is number 1.
    let form = collector.anonymous(Method::POST, "/sign-in");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body(format!("token={ana}"));
    assert_eq!(form.send().await.unwrap().status(), 303);
    let mut secrets = vec![ana.clone(), enrolment.to_text(), enrolment.secret, collector.operator_token()];
    let mut walked = BTreeSet::new();
    let mut seen = audit(&collector).await.len();
    for change in changes() {
        walked.insert((change.method.to_string(), change.template.to_owned()));
        let path = change.path.replace("{agent}", &agent.id.to_string());
        let request = collector.anonymous(change.method.clone(), &path).bearer_auth(&ana);
        let request = match &change.body {
            Value::Null => request,
            Value::String(file) => request.header("content-type", "text/csv").body(file.clone()),
            body @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                request.json(body)
            }
        };
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{} {path}: {body}", change.method);
        secrets.extend(tokens(&body));
        let entries = audit(&collector).await;
        let new = &entries[seen..];
        let whats: Vec<_> =
            new.iter().map(|entry| (entry.what.as_str(), Sides::of(entry).unwrap())).collect();
        assert_eq!(whats, change.entries, "{} {path}", change.method);
        for entry in new {
            assert_eq!(entry.who, "ana", "{entry:?}");
            assert!(!entry.object.is_empty(), "{entry:?}");
            assert_ne!(entry.before, entry.after, "{entry:?}");
        }
        seen = entries.len();
    }
    assert_eq!(walked, changing_requests(), "a request that changes something belongs into this walk");

    let written = serde_json::to_string(&audit(&collector).await).unwrap();
    let parts: Vec<String> = secrets
        .iter()
        .flat_map(|secret| {
            let token = secret.parse::<EnrolmentToken>().ok().map(|token| token.secret);
            let end = secret.rsplit('.').next().map(ToOwned::to_owned);
            [Some(secret.clone()), token, end].into_iter().flatten()
        })
        .flat_map(|part| [hex::encode(Sha256::digest(&part)), part])
        .collect();
    assert!(parts.len() > 20, "there are secrets to look for");
    assert!(parts.iter().all(|part| !written.contains(part)), "a secret or its hash stands in the audit");
    collector.stop().await;
}

#[tokio::test]
async fn every_use_of_a_known_token_is_written_down_and_an_unknown_one_counted() {
    let collector = Collector::start().await;
    let token = collector.token("london-1").await;
    let agent = Agent::new(&collector, &token.response_key);
    let other = Agent::new(&collector, &token.response_key);
    let mut contradicting = agent.enrolment(&token.secret);
    let mut request: Value = serde_json::from_slice(&contradicting.body).unwrap();
    request["site"] = json!({"name": "london-2", "provider": "", "location": ""});
    contradicting.body = serde_json::to_vec(&request).unwrap();
    assert_eq!(agent.send(&contradicting).await.problem(), "site-mismatch");
    for _again in 0..2 {
        assert_eq!(agent.send(&agent.enrolment(&token.secret)).await.status, 201);
    }
    assert_eq!(other.send(&other.enrolment(&token.secret)).await.problem(), "token-refused");
    let revoke = collector.operator(Method::DELETE, "/api/v1/tokens/1").send().await.unwrap();
    assert_eq!(revoke.status(), 200);
    assert_eq!(other.send(&other.enrolment(&token.secret)).await.problem(), "token-refused");
    let guess = "0".repeat(64);
    for _again in 0..3 {
        assert_eq!(other.send(&other.enrolment(&guess)).await.problem(), "token-refused");
    }

    let entries = audit(&collector).await;
    let uses: Vec<_> = entries.iter().filter(|entry| entry.what == "token use").collect();
    let told: Vec<_> = uses
        .iter()
        .map(|entry| {
            let after = entry.after.as_ref().unwrap();
            assert_eq!(
                (&after["token"], &after["address"], entry.object.as_str()),
                (&json!(1), &json!("127.0.0.1"), "london-1")
            );
            let whose = if after["agent"] == agent.id.to_string() { "agent" } else { "other" };
            (
                whose,
                after["outcome"].as_str().unwrap(),
                after["reason"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    let outcomes: Vec<_> = told.iter().map(|(whose, outcome, _)| (*whose, *outcome)).collect();
    let expected = [
        ("agent", "refused"),
        ("agent", "enrolled"),
        ("agent", "again"),
        ("other", "refused"),
        ("other", "refused"),
    ];
    assert_eq!(outcomes, expected);
    for (index, reason) in [(0, "london-2"), (3, "is used up"), (4, "was revoked")] {
        assert!(told[index].2.contains(reason), "{:?}", told[index]);
    }
    let metrics = collector.operator(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("peerlight_collector_unknown_tokens_total 3"), "{metrics}");
    assert!(!serde_json::to_string(&entries).unwrap().contains(&guess));
    let enrolled = entries.iter().find(|entry| entry.what == "agent enrol").unwrap();
    assert_eq!((enrolled.who.as_str(), &enrolled.before), ("agent", &None));
}
