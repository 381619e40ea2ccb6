//! The command line: its help, and what it prints of a collector's answers.

use super::*;
use axum::{Json, Router, http::StatusCode, routing};
use clap::CommandFactory as _;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};

/// The help of a command and of everything below it.
fn help(path: &str, command: &mut clap::Command) -> String {
    let mut text = format!("## {path}\n\n{}\n", command.render_help());
    let names: Vec<String> = command
        .get_subcommands()
        .map(|inner| inner.get_name().to_owned())
        .filter(|name| name != "help")
        .collect();
    for name in names {
        if let Some(inner) = command.find_subcommand_mut(&name) {
            text.push_str(&help(&format!("{path} {name}"), inner));
        }
    }
    text
}

#[test]
fn the_help_is_as_it_was_read_and_approved() {
    let mut command = Cli::command();
    command.build();
    insta::assert_snapshot!(help("peerlight-collector", &mut command));
}

#[test]
fn the_long_help_tells_what_the_log_obeys() {
    insta::assert_snapshot!(Cli::command().term_width(100).render_long_help());
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

/// A collector that gives these answers.
async fn answering(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What a command prints: standard output, then standard error.
async fn run(address: SocketAddr, arguments: &str) -> anyhow::Result<String> {
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("operator.token");
    std::fs::write(&token_file, "peerlight-operator.00\n").unwrap();
    let cli = Cli::try_parse_from(std::iter::once("peerlight-collector").chain(arguments.split(' ')))?;
    let Command::Operate(operation) = cli.command else { panic!("{arguments} asks no collector") };
    let defaults = Defaults { url: format!("http://{address}").parse().unwrap(), token_file };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut output = Output { out: &mut out, notes: &mut notes, width: Some(160) };
    execute(*operation, &cli.connection, &defaults, &mut output).await?;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ok(format!("$ peerlight-collector {arguments}\n{}{}", text(out), text(notes)))
}

fn list(item: &Value) -> Value {
    json!({ "items": [item], "total": 1 })
}

fn london() -> Value {
    json!({ "id": 1, "organisation": 1, "site": "london-1", "provider": "Example Telecom", "location": "GB-LND",
        "prefixes": ["192.0.2.0/24", "2001:db8:7::/48"], "count_declared": false,
        "valid_from": "2026-11-01T00:00:00Z", "valid_to": null })
}

fn agent() -> Value {
    json!({ "agent": "11".repeat(16), "registration": 1, "site": "london-1", "provider": "Example Telecom",
        "location": "GB-LND", "host": "probe-7", "version": "0.1.0", "enrolled": "2026-11-01T08:00:00Z",
        "enrolled_from": "192.0.2.7", "last_seen": "2026-11-22T23:59:59.5Z", "address": "192.0.2.7",
        "clock_offset_us": -1500, "session": "22".repeat(16), "cloned_since": null, "revoked": null,
        "health": { "spooled_batches": 2, "spooled_bytes": 4096, "dropped_batches": 0, "corrupt_batches": 0,
            "refused_measurements": 1, "rejected_batches": 0 } })
}

fn collector() -> Router {
    let get = |answer: Value| routing::get(move || async move { Json(answer) });
    let provider = json!({ "id": 1, "name": "Liquid Telecom", "kind": "ISP", "countries": ["ZA", "KE"],
        "aliases": ["Liquid"], "asns": [30844], "source": "directory 2019-09-25",
        "created": "2026-11-01T00:00:00Z", "ended": null });
    let location = json!({ "id": 1, "code": "GB-LND", "name": "London, City of", "time_zone": "Europe/London",
        "latitude": 51.5123, "longitude": -0.0909, "created": "2026-11-01T00:00:00Z", "ended": null });
    let target = json!({ "id": 4, "target_id": "33".repeat(16), "name": "exchange-online", "service": "Microsoft 365",
        "address": "outlook.office365.com", "probe": "tcp:443", "interval_ms": 10_000, "provider": null,
        "location": "GB-LND", "created": "2026-11-01T00:00:00Z" });
    let token = json!({ "id": 3, "registration": 1, "site": "london-1", "max_uses": 1, "uses": 0,
        "expires": "2026-11-29T00:00:00Z", "created": "2026-11-22T00:00:00Z", "created_by": "local", "revoked": null });
    let mut issued = token.clone();
    issued["token"] = json!("peerlight1.AAAA");
    let operator = json!({ "id": 2, "name": "ana", "role": "reader", "created": "2026-11-22T00:00:00Z", "revoked": null });
    let session = json!({ "id": 7, "name": "Ada Lovelace (1815 at https://id.example.com)", "role": "reader",
        "person": { "issuer": "https://id.example.com", "subject": "1815", "name": "Ada Lovelace" },
        "address": "192.0.2.7", "opened": "2026-11-22T10:00:00Z", "ends": "2026-11-22T22:00:00Z" });
    let ended = session.clone();
    let mut secret = operator.clone();
    secret["token"] = json!("peerlight-operator.BBBB");
    let mut revoked = agent();
    revoked["revoked"] = json!("2026-11-22T10:00:00Z");
    let change = json!({ "at": "2026-11-22T10:00:00.25Z", "who": "ana", "what": "provider add", "object": "BBIX",
        "before": null, "after": { "name": "BBIX" } });
    let problem = json!({ "type": "urn:peerlight:problem:invalid", "title": "Invalid", "status": 422,
        "detail": "the registration is not acceptable", "errors": ["first", "second"] });
    Router::new()
        .route("/api/v1/providers", get(list(&provider)))
        .route("/api/v1/locations", get(list(&location)))
        .route(
            "/api/v1/registrations",
            get(list(&london())).post(|| async { (StatusCode::UNPROCESSABLE_ENTITY, Json(problem)) }),
        )
        .route("/api/v1/agents", get(list(&agent())))
        .route("/api/v1/agents/{id}", routing::delete(|| async { Json(revoked) }))
        .route("/api/v1/targets", get(list(&target)))
        .route("/api/v1/tokens", get(list(&token)).post(|| async { (StatusCode::CREATED, Json(issued)) }))
        .route(
            "/api/v1/operators",
            get(list(&operator)).post(|| async { (StatusCode::CREATED, Json(secret)) }),
        )
        .route("/api/v1/sessions", get(list(&session)))
        .route("/api/v1/sessions/{id}", routing::delete(|| async { Json(ended) }))
        .route("/api/v1/audit", get(list(&change)))
}

#[tokio::test]
async fn lists_are_tables() {
    let address = answering(collector()).await;
    let mut shown = String::new();
    for arguments in [
        "provider list",
        "provider directory",
        "location list",
        "registration list",
        "agent list",
        "agent show 1111",
        "target list",
        "token list",
        "token create london-1",
        "operator list",
        "operator create ana --role reader",
        "operator session list",
        "operator session end 7",
        "audit",
    ] {
        shown.push_str(&run(address, arguments).await.unwrap());
        shown.push('\n');
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn json_is_what_the_collector_said() {
    let address = answering(collector()).await;
    let printed = run(address, "registration list --format json").await.unwrap();
    let (_, document) = printed.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(document).unwrap(), json!([london()]));
    let printed = run(address, "agent revoke london-1 --format json").await.unwrap();
    let (_, document) = printed.split_once('\n').unwrap();
    let revoked: Value = serde_json::from_str(document).unwrap();
    assert_eq!((&revoked["agent"], &revoked["revoked"]), (&agent()["agent"], &json!("2026-11-22T10:00:00Z")));
}

#[tokio::test]
async fn a_refusal_names_everything_that_is_wrong() {
    let address = answering(collector()).await;
    let add = "registration add london-1 --provider x --location GB-LND --prefix 192.0.2.0/24";
    let refused = run(address, add).await.unwrap_err();
    assert_eq!(refused.to_string(), "the registration is not acceptable\n  - first\n  - second");
}

#[tokio::test]
async fn a_collector_that_does_not_run_is_named_with_what_to_do() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = run(address, "provider list").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the collector is not running at http://{address}/, start it with `peerlight-collector run`")
    );
}

#[tokio::test]
async fn an_answer_of_something_else_is_not_taken_for_a_collectors() {
    let address = answering(Router::new().fallback(|| async { "<html>sign in</html>" })).await;
    let error = run(address, "provider list").await.unwrap_err();
    assert!(error.to_string().contains("not of a Peerlight collector"), "{error}");
    let locked = answering(Router::new().fallback(|| async { StatusCode::UNAUTHORIZED })).await;
    let error = run(locked, "provider list").await.unwrap_err();
    assert!(error.to_string().contains("does not accept the operator token"), "{error}");
}
