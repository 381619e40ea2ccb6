//! Real receivers: Debian's Alertmanager, and a mail server of Python's package index. Where one cannot be had the test says so by name.

use super::{at_once, measured, next_line, send};
use crate::collector::{Collector, NOON, plain_client};
use peerlight_collector::{
    clock::Clock,
    config::{Alertmanager, Email, SmtpTls},
    rfc3339,
};
use reqwest::Method;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

const AIOSMTPD: &str = "aiosmtpd==1.4.6";
const SMTP: &str = include_str!("smtp.py");

/// A program that is ended with the test.
fn program(path: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// An Alertmanager on a free port, if there is one on this machine.
async fn alertmanager(directory: &Path) -> Option<(Child, url::Url)> {
    let config = directory.join("alertmanager.yml");
    std::fs::write(&config, "route: { receiver: none }\nreceivers: [ { name: none } ]\n").unwrap();
    let started = program("prometheus-alertmanager")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", directory.join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.ok()?;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
            // What it says later is read, lest it wait for a reader.
            tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
            return Some((child, format!("http://{address}").parse().unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_has_one_alert_as_long_as_it_fires() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_alertmanager, url)) = alertmanager(directory.path()).await else {
        eprintln!("skipped: there is no prometheus-alertmanager");
        return;
    };
    let receiver = Alertmanager { name: "am".to_owned(), url: url.clone(), ca_file: None };
    // It drops what is over by its own clock, which is the machine's.
    let now = Clock::system().now();
    let collector = Collector::start_with(|config| {
        config.alerts.every = Duration::from_millis(50);
        config.alerts.delay = now.since(NOON) + super::DELAY;
        config.alerts.alertmanager = vec![receiver];
    })
    .await;
    measured(&collector).await;
    collector.clock.set(now);
    send(&collector, Method::PUT, "/api/v1/alerts/rules", &at_once()).await;
    let alerts = after_deliveries(&collector, &url, 1).await;
    let labels = &alerts[0]["labels"];
    assert_eq!(alerts.as_array().unwrap().len(), 1, "{alerts:#}");
    assert_eq!(labels["alertname"], "peerlight-loss");
    assert_eq!(
        (&labels["provider"], &labels["location"], &labels["severity"]),
        (&Value::from("Aurora Networks"), &Value::from("GB-LND"), &Value::from("page"))
    );
    assert!(
        alerts[0]["annotations"]["description"].as_str().unwrap().contains("2 of 2 sites of Aurora Networks")
    );

    let over = now.plus(super::DELAY);
    collector.clock.set(over);
    let alerts = after_deliveries(&collector, &url, 2).await;
    assert_eq!(alerts.as_array().unwrap().len(), 1, "the same one: {alerts:#}");
    let seconds = |text: &str| text[..19].to_owned();
    assert_eq!(seconds(alerts[0]["endsAt"].as_str().unwrap()), seconds(&rfc3339::text(over)));
    collector.stop().await;
}

/// What the Alertmanager holds once it was told so often.
async fn after_deliveries(collector: &Collector, url: &url::Url, count: u32) -> Value {
    let delivered = format!("peerlight_collector_alert_deliveries_total{{outcome=\"delivered\"}} {count}");
    super::until_metrics_say(collector, &delivered).await;
    let alerts = plain_client().get(url.join("/api/v2/alerts").unwrap()).send().await.unwrap();
    alerts.json().await.unwrap()
}

/// The interpreter of an environment that has the mail server, or why there is none.
async fn interpreter() -> Result<PathBuf, String> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aiosmtpd");
    let python = kept.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    // It takes its place whole, so that one that was cut short is not taken for it.
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let made = made.path().join("aiosmtpd");
    run(program("python3").args(["-m", "venv"]).arg(&made)).await?;
    run(program(made.join("bin/python")).args(["-m", "pip", "install", "--quiet", AIOSMTPD])).await?;
    std::fs::rename(&made, &kept).map_err(|error| error.to_string())?;
    Ok(python)
}

async fn run(command: &mut Command) -> Result<(), String> {
    let done = command.output().await.map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", said.trim())) }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_one_alert_stand_in_one_thread_and_go_over_tls() {
    let python = match interpreter().await {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: no mail server: {why}");
            return;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let certificate = file("cert.pem", &issued.cert.pem());
    let key = file("key.pem", &issued.signing_key.serialize_pem());
    let password = file("password", "secret\n");
    let mut server =
        program(python).args(["-c", SMTP]).args([&certificate, &key]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = lines.next_line().await.unwrap().unwrap().parse().unwrap();
    let receiver = Email {
        name: "noc".to_owned(),
        server: "127.0.0.1".to_owned(),
        port,
        tls: SmtpTls::Starttls,
        username: Some("peerlight".to_owned()),
        password_file: Some(password),
        ca_file: Some(certificate),
        from: "Peerlight <peerlight@example.com>".to_owned(),
        to: vec!["noc@example.com".to_owned()],
    };
    let collector = Collector::start_with(|config| {
        config.alerts.every = Duration::from_millis(50);
        config.alerts.delay = super::DELAY;
        config.alerts.email = vec![receiver];
    })
    .await;
    measured(&collector).await;
    send(&collector, Method::PUT, "/api/v1/alerts/rules", &at_once()).await;
    let firing = next_line(&mut lines).await;
    assert_eq!((&firing["tls"], &firing["to"][0]), (&Value::from(true), &Value::from("noc@example.com")));
    let text = firing["message"].as_str().unwrap();
    assert!(text.contains("Subject: [page] provider Aurora Networks at GB-LND"), "{text}");
    let header = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        line.map(ToOwned::to_owned)
    };
    collector.clock.set(NOON.plus(super::DELAY));
    let over = next_line(&mut lines).await;
    let over = over["message"].as_str().unwrap();
    assert!(over.contains("Subject: [resolved] provider Aurora Networks"), "{over}");
    assert_eq!(header(over, "In-Reply-To:"), header(text, "Message-ID:"));
    assert!(header(text, "Message-ID:").is_some(), "{text}");
    collector.stop().await;
}
