//! The registry through the command line and the operators' API of a running collector.

use crate::collector::plain_client;
use crate::command::{WIDE, command};
use peerlight_collector::{
    Listeners,
    client::{Client, ClientError, Endpoint},
    config::Config,
    paths, run,
};
use serde_json::{Value, json};
use std::{fs, net::SocketAddr};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A collector that runs for one test.
struct Collector {
    operators: SocketAddr,
    directory: tempfile::TempDir,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Collector {
    async fn start() -> Self {
        // The second test of a process finds it installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.agents.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.agents.url = Some("https://collector.example.com:8443".parse().unwrap());
        config.operators.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.store.directory = directory.path().join("state");
        let listeners = Listeners::bind(&config).unwrap();
        let operators = listeners.operators.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let running = run(config, listeners, shutdown.clone());
        let task = tokio::spawn(async move { running.await.unwrap() });
        // The socket accepts from the start; an answer comes when keys, token and stores are there.
        let alive = plain_client().get(format!("http://{operators}/healthz")).send().await.unwrap();
        assert_eq!(alive.status(), 200);
        Self { operators, directory, shutdown, task }
    }

    fn token(&self) -> Option<String> {
        fs::read_to_string(paths::operator_token(&self.directory.path().join("state"))).ok()
    }

    fn client(&self, token: &str) -> Client {
        let url = format!("http://{}", self.operators).parse().unwrap();
        Client::new(Endpoint { url, token: token.trim().to_owned(), ca_pem: None }).unwrap()
    }

    /// What a command prints.
    async fn print(&self, arguments: &str) -> anyhow::Result<String> {
        let words: Vec<_> = arguments.split(' ').map(|word| word.replace('_', " ")).collect();
        let token_file = paths::operator_token(&self.directory.path().join("state"));
        let words = words.iter().map(String::as_str);
        Ok(command((self.operators, token_file), words, WIDE).await?.all())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

/// Instants and secrets change with every run: `2026-…Z` becomes `<time>`, a token `<token>`.
fn stable(text: &str) -> String {
    let is_time =
        |word: &str| word.len() == 20 && word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T');
    let shown = |word: &str| {
        let bare = word.trim_end_matches(';');
        if is_time(bare) {
            word.replace(bare, "<time>")
        } else if word.starts_with("peerlight1.") {
            "<token>".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split_whitespace().map(shown).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_brings_a_site_up_and_takes_it_down_from_the_command_line() {
    let collector = Collector::start().await;
    let mut transcript = Vec::new();
    for arguments in [
        "provider add --from-directory liquid",
        "provider add Example_Telecom --kind isp --country gb --asn 64500",
        "provider list",
        "location add gb-lnd --latitude 51.5 --longitude -0.1",
        "location add US-TX",
        "registration check london-1 --provider liquid --location GB-LND --prefix 192.0.2.5/24 --prefix fd00::/7",
        "registration add london-1 --provider liquid --location GB-LND --prefix 192.0.2.0/24 --allow-non-public",
        "registration add leeds-1 --provider Example_Telecom --location GB-LND --prefix 192.0.2.128/25 --allow-non-public",
        "registration list --address 192.0.2.7",
        "registration list --address 8.8.8.8",
        "target add exchange-online --address outlook.office365.com --probe icmp --probe tcp:443 --interval 10s",
        "target list",
        "target remove 1",
        "target remove 1",
        "token create London-1 --uses 2 --life 1h",
        "token list",
        "token revoke 1",
        "token list",
        "agent list",
        "agent show london-1",
        "provider end liquid",
        "registration end london-1",
        "provider end liquid",
        "provider list",
        "operator create ana --role reader",
        "operator revoke 2",
        "audit --limit 4",
    ] {
        let printed = match collector.print(arguments).await {
            Ok(printed) => printed,
            Err(error) => format!("error: {error:#}"),
        };
        transcript.push(format!("$ {arguments}\n{}\n", stable(&printed)));
    }
    let transcript = transcript.join("\n");
    let secret = transcript.lines().find(|line| line.starts_with("peerlight-operator.")).unwrap().to_owned();
    insta::assert_snapshot!(transcript.replace(&secret, "<operator token>"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_prints_in_json_the_rows_that_the_list_shows() {
    let collector = Collector::start().await;
    let json = async |arguments: &str| -> Value {
        let printed = collector.print(&format!("{arguments} --format json")).await.unwrap();
        // A document on standard output; what people are told besides follows it on standard error.
        let mut documents = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
        documents.next().unwrap().unwrap()
    };
    for (change, list) in [
        ("provider add Example_Telecom --asn 64500", "provider list --all"),
        ("location add GB-LND", "location list --all"),
        (
            "registration add london-1 --provider Example_Telecom --location GB-LND --prefix 192.0.2.0/24 --allow-non-public",
            "registration list --all",
        ),
        ("target add door --address outlook.office365.com --probe icmp --probe tcp:443", "target list"),
        ("token create london-1", "token list --all"),
        ("operator create ana --role reader", "operator list --all"),
        ("token revoke 1", "token list --all"),
        ("operator revoke 2", "operator list --all"),
        ("registration end london-1", "registration list --all"),
        ("provider end Example_Telecom", "provider list --all"),
        ("location end GB-LND", "location list --all"),
    ] {
        let printed = json(change).await;
        let mut rows = printed.as_array().cloned().unwrap_or_else(|| vec![printed]);
        assert_eq!(rows.len(), if change.starts_with("target add") { 2 } else { 1 }, "{change}");
        let listed = json(list).await;
        for row in &mut rows {
            let secret = row.as_object_mut().unwrap().remove("token");
            assert_eq!(secret.is_some(), change.contains(" create "), "{change}");
            assert!(listed.as_array().unwrap().contains(row), "{change}: {row} is not in {listed}");
        }
    }
    let listed = json("target list").await;
    assert_eq!(json("target remove 2").await, listed[1]);
    let check = "registration check leeds-1 --provider x --location GB-LND --prefix 192.0.2.0/24";
    assert!(collector.print(&format!("{check} --format json")).await.is_err());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_in_documents_and_refuses_in_problems() {
    let collector = Collector::start().await;
    let client = collector.client(&collector.token().unwrap());
    let refused = |result: Result<Value, ClientError>| match result {
        Err(ClientError::Refused { problem }) => (problem.status, *problem),
        other => panic!("{other:?}"),
    };
    let provider = json!({ "name": "BBIX", "kind": "IXP" });
    let added: Value = client.post("/api/v1/providers", &provider).await.unwrap();
    assert_eq!((&added["name"], &added["kind"]), (&json!("BBIX"), &json!("IXP")));
    let (status, problem) = refused(client.post("/api/v1/providers", &provider).await);
    assert_eq!((status, problem.errors), (422, vec!["`BBIX` already means the provider `BBIX`".to_owned()]));
    let unknown = json!({ "name": "x", "kind": "ISP", "colour": "red" });
    let (status, problem) = refused(client.post("/api/v1/providers", &unknown).await);
    assert!(status == 422 && problem.to_string().contains("colour"), "{problem}");
    assert_eq!(refused(client.delete("/api/v1/providers/99", &[]).await).0, 404);
    assert_eq!(refused(client.get("/api/v1/agents/nonsense", &[]).await).0, 404);
    assert_eq!(refused(client.get("/api/v1/providers", &[("limit", "many".to_owned())]).await).0, 422);
    let cut: Value = client.get("/api/v1/providers", &[("limit", "0".to_owned())]).await.unwrap();
    assert_eq!(cut, json!({ "items": [], "total": 1 }));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_reads_and_a_stranger_does_not() {
    let collector = Collector::start().await;
    let administrator = collector.client(&collector.token().unwrap());
    let reader: Value =
        administrator.post("/api/v1/operators", &json!({ "name": "ana", "role": "reader" })).await.unwrap();
    let reader = collector.client(reader["token"].as_str().unwrap());
    let listed: Value = reader.get("/api/v1/providers", &[]).await.unwrap();
    assert_eq!(listed["total"], 0);
    let change = reader.post::<Value>("/api/v1/providers", &json!({ "name": "BBIX", "kind": "IXP" })).await;
    assert!(matches!(&change, Err(ClientError::Refused { problem }) if problem.status == 403), "{change:?}");
    let stranger = collector.client("peerlight-operator.guess").get::<Value>("/api/v1/providers", &[]).await;
    assert!(matches!(&stranger, Err(ClientError::Unauthorized { .. })), "{stranger:?}");
    collector.stop().await;
}
