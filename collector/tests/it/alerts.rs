//! `/api/v1/alerts`: agents push an outage, and one alert says whose it is, to a receiver over HTTP, to the API and to the command
//! line; it is over when the outage is.

mod receivers;

use crate::{
    collector::{Collector, NOON, problem},
    seeded::{add_places, enrolled, measurement, push, series},
};
use axum::{Router, body::Bytes, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use peerlight_collector::{
    alert::defaults,
    config::{Config, Webhook},
};
use peerlight_proto::{
    metric::Metric,
    time::{Interval, IntervalLength},
};
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};
use std::{net::Ipv4Addr, path::Path, time::Duration};
use tokio::{
    io::{BufReader, Lines},
    process::ChildStdout,
    sync::mpsc,
};

const ALERTS: &str = "/api/v1/alerts";
const SECRET: [u8; 32] = [7; 32];
/// Provider and location of each site.
const SITES: [(&str, &str); 4] = [
    ("Aurora Networks", "GB-LND"),
    ("Aurora Networks", "GB-LND"),
    ("Borealis", "GB-LND"),
    ("Borealis", "FR-IDF"),
];
const MINUTES: u64 = 30;
/// How long rules wait for what was measured.
pub(crate) const DELAY: Duration = Duration::from_mins(15);

/// A receiver that takes everything.
async fn receiver() -> (url::Url, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    let (tell, told) = mpsc::unbounded_channel();
    let take = post(async move |headers: HeaderMap, body: Bytes| {
        tell.send((headers, body)).unwrap();
    });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", take)).await });
    (url, told)
}

/// Both webhooks: one that nobody listens at, and this one.
fn with_webhooks(config: &mut Config, url: url::Url, directory: &Path) {
    let secret_file = directory.join("pager.secret");
    std::fs::write(&secret_file, format!("whsec_{}\n", STANDARD.encode(SECRET))).unwrap();
    let webhook = |name: &str, url| Webhook {
        name: name.to_owned(),
        url,
        secret_file: secret_file.clone(),
        ca_file: None,
    };
    config.alerts.every = Duration::from_millis(50);
    config.alerts.delay = DELAY;
    config.alerts.url = Some("https://peerlight.example.com".parse().unwrap());
    config.alerts.webhook =
        vec![webhook("dead", "http://127.0.0.1:1/".parse().unwrap()), webhook("pager", url)];
}

/// What the next request says, once its signature was verified.
async fn next(told: &mut mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) -> Value {
    let (headers, body) = told.recv().await.unwrap();
    let header = |name: &str| headers[name].to_str().unwrap();
    let signed = [header("webhook-id").as_bytes(), header("webhook-timestamp").as_bytes(), &body].join(&b'.');
    let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), &signed, &signature).unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Half an hour of every site, in which both of Aurora's lose everything from the 8th minute to the 18th.
pub(crate) async fn measured(collector: &Collector) {
    add_places(collector, &[("GB-LND", "Europe/London"), ("FR-IDF", "Europe/Paris")]).await;
    for (site, (provider, location)) in SITES.into_iter().enumerate() {
        let agent = enrolled(collector, site, provider, location).await;
        let minutes = (0..MINUTES).map(|minute| {
            let at = NOON.minus(Duration::from_mins(MINUTES + 1 - minute));
            let out = provider == "Aurora Networks" && (8..18).contains(&minute);
            let (answered, lost) = if out { (0, 6) } else { (6, 0) };
            let interval = Interval::containing(at, IntervalLength::MINUTE);
            measurement(site, 0, interval, std::iter::repeat_n(9_000, answered), lost)
        });
        push(&agent, 0, vec![series(site, Metric::TcpConnect, "teams")], minutes.collect()).await;
    }
}

/// The next line of a program, as JSON.
async fn next_line(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap()
}

/// Waits until the collector's metrics have this line.
pub(crate) async fn until_metrics_say(collector: &Collector, line: &str) {
    let said = async {
        loop {
            let metrics = collector.operator(Method::GET, "/metrics").send().await.unwrap();
            if metrics.text().await.unwrap().contains(line) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(2), said).await.unwrap();
}

async fn get(collector: &Collector, path: &str) -> Value {
    let answer = collector.operator(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

pub(crate) async fn send(collector: &Collector, method: Method, path: &str, body: &Value) -> Value {
    let answer = collector.operator(method, path).json(body).send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert!(status.is_success(), "{path}: {body}");
    body
}

async fn print(collector: &Collector, arguments: &[&str]) -> anyhow::Result<String> {
    let words = std::iter::once("alert").chain(arguments.iter().copied());
    Ok(collector.command(words, None).await?.all())
}

/// The rule of loss alone, which does not wait.
pub(crate) fn at_once() -> Value {
    let mut rule = serde_json::to_value(&defaults()[0]).unwrap();
    rule["for"] = json!("0s");
    json!({ "rules": [rule] })
}

/// A collector on which the outage of a provider fires, and nobody is told.
pub(crate) async fn outage() -> Collector {
    let collector = Collector::start_with(|config| {
        config.alerts.every = Duration::from_millis(50);
        config.alerts.delay = DELAY;
    })
    .await;
    measured(&collector).await;
    send(&collector, Method::PUT, "/api/v1/alerts/rules", &at_once()).await;
    until_metrics_say(&collector, r#"peerlight_collector_alerts{state="firing"} 1"#).await;
    collector
}

/// A collector with a maintenance window that is to come, and without an alert.
pub(crate) async fn maintained() -> Collector {
    let collector = Collector::start().await;
    let window = json!({"scope": {"sites": ["leeds-1"]}, "from": "2026-09-21T14:13:30Z", "to": "2026-09-21T16:13:20Z",
        "reason": "new router"});
    send(&collector, Method::POST, "/api/v1/alerts/maintenance", &window).await;
    collector
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_a_provider_is_one_alert_that_names_it_and_is_over_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let (url, mut told) = receiver().await;
    let collector = Collector::start_with(|config| with_webhooks(config, url, directory.path())).await;
    measured(&collector).await;
    send(&collector, Method::PUT, "/api/v1/alerts/rules", &at_once()).await;

    let firing = next(&mut told).await;
    assert_eq!(firing["type"], "alert.firing");
    let alert = &firing["data"]["alert"];
    let culprit = json!({"kind": "provider_at", "provider": "Aurora Networks", "location": "GB-LND"});
    assert_eq!((&alert["culprit"], &alert["severity"]), (&culprit, &json!("page")));
    assert_eq!(
        alert["summary"],
        "provider Aurora Networks at GB-LND: 100.0% of tcp.connect lost at the worst of 2 sites"
    );
    assert_eq!(alert["evidence"]["readings"][0]["samples"], 30);
    let text = firing["data"]["text"].as_str().unwrap();
    assert!(text.contains("2 of 2 sites of Aurora Networks at GB-LND"), "{text}");
    assert!(text.contains("0 of 1 sites of other providers at GB-LND"), "{text}");

    insta::assert_snapshot!(text);

    // What the report that it links to says is what it says.
    let report = alert["evidence"]["report"].as_str().unwrap();
    assert_eq!(firing["data"]["report_url"], format!("https://peerlight.example.com{report}"));
    let rows = get(&collector, report).await["rows"].clone();
    let losses: Vec<f64> =
        rows.as_array().unwrap().iter().map(|row| row["loss"]["value"].as_f64().unwrap()).collect();
    assert_eq!(losses, [1.0, 1.0], "{rows:#}");

    let id = alert["id"].as_u64().unwrap();
    let shown = print(&collector, &["list"]).await.unwrap();
    assert!(shown.contains("firing") && shown.contains("Aurora Networks at GB-LND"), "{shown}");
    print(&collector, &["acknowledge", &id.to_string(), "--note", "called them"]).await.unwrap();
    let detail = get(&collector, &format!("{ALERTS}/{id}")).await;
    assert_eq!((&detail["state"], &detail["acknowledged"]["by"]), (&json!("acknowledged"), &json!("local")));
    let receivers: Vec<_> =
        detail["deliveries"].as_array().unwrap().iter().map(|one| one["receiver"].clone()).collect();
    assert_eq!(receivers, ["dead", "pager"]);

    let concerns = get(&collector, "/api/v1/status").await["concerns"].to_string();
    assert!(concerns.contains("the receiver of alerts `dead` has not taken 1 events"), "{concerns}");

    collector.clock.set(NOON.plus(DELAY));
    let over = next(&mut told).await;
    assert_eq!(
        (&over["type"], &over["data"]["dedup_key"]),
        (&json!("alert.resolved"), &firing["data"]["dedup_key"])
    );
    assert_eq!(get(&collector, ALERTS).await["total"], 0);
    assert_eq!(get(&collector, "/api/v1/alerts?all=true").await["total"], 1);
    assert!(told.try_recv().is_err(), "nothing was told twice");

    let replayed = print(&collector, &["replay", "--last", "25m"]).await.unwrap();
    assert!(replayed.contains("1 alerts") && replayed.contains("Aurora Networks at GB-LND"), "{replayed}");
    until_metrics_say(&collector, r#"peerlight_collector_alert_deliveries_total{outcome="delivered"} 2"#)
        .await;
    collector.stop().await;
}

/// Eight minutes of a target that answers no echo request, at a site where its TCP works and at one where it does not.
async fn measured_of_a_new_target(collector: &Collector) {
    add_places(collector, &[("GB-LND", "Europe/London"), ("FR-IDF", "Europe/Paris")]).await;
    for (site, tcp_works) in [(0, true), (3, false)] {
        let (provider, location) = SITES[site];
        let agent = enrolled(collector, site, provider, location).await;
        let minutes = (0..8).flat_map(|minute| {
            let interval =
                Interval::containing(NOON.minus(Duration::from_mins(9 - minute)), IntervalLength::MINUTE);
            let (answered, lost) = if tcp_works { (6, 0) } else { (0, 6) };
            [
                measurement(site, 0, interval, std::iter::empty(), 6),
                measurement(site, 1, interval, std::iter::repeat_n(9_000, answered), lost),
            ]
        });
        let metrics = [Metric::IcmpRtt, Metric::TcpConnect];
        push(&agent, 0, metrics.map(|metric| series(site, metric, "new")).into(), minutes.collect()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_target_that_answers_no_icmp_while_its_tcp_works_alerts_nobody() {
    let collector = Collector::start_with(|config| {
        config.alerts.every = Duration::from_millis(50);
        config.alerts.delay = Duration::from_mins(1);
    })
    .await;
    measured_of_a_new_target(&collector).await;
    send(&collector, Method::PUT, "/api/v1/alerts/rules", &at_once()).await;
    until_metrics_say(&collector, r#"peerlight_collector_alerts{state="firing"} 1"#).await;
    let alerts = get(&collector, ALERTS).await;
    let culprit = &alerts["items"][0]["culprit"];
    assert_eq!(alerts["total"], 1, "the turn that judged the one judged the other, too: {alerts:#}");
    assert_eq!(culprit["location"], "FR-IDF", "{alerts:#}");
    // The report says what it knows so far.
    let rows = get(&collector, "/api/v1/reports/latency?last=10m&by=site&metric=icmp.rtt&site=site-0").await;
    assert_eq!(
        (&rows["rows"][0]["lost"], &rows["rows"][0]["icmp_silent"]),
        (&json!(48), &json!(0)),
        "{rows:#}"
    );
    let replayed = print(&collector, &["replay", "--last", "8m"]).await.unwrap();
    assert!(replayed.contains("1 alerts") && replayed.contains("FR-IDF"), "{replayed}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_maintenance_are_kept_as_files_and_options_say_them() {
    let collector = Collector::start().await;
    let exported = print(&collector, &["rules", "export"]).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.toml");
    std::fs::write(&file, exported.replace("threshold = 0.05", "threshold = 0.1")).unwrap();
    let file = file.to_str().unwrap();
    let applied = print(&collector, &["rules", "apply", file]).await.unwrap();
    assert_eq!(applied, "set 1 of 7 alert rules is in force\n");
    assert_eq!(get(&collector, "/api/v1/alerts/rules").await["rules"][0]["threshold"], 0.1);
    insta::assert_snapshot!(
        print(&collector, &["rules", "list"]).await.unwrap().split("set 1").next().unwrap()
    );

    std::fs::write(file, "[[rule]]\nname = 'a'\n").unwrap();
    let unread = format!("{:#}", print(&collector, &["rules", "apply", file]).await.unwrap_err());
    assert!(unread.contains("holds no rules") && unread.contains("missing field"), "{unread}");

    let args = [
        "maintenance",
        "add",
        "new router",
        "--from",
        "2026-09-21T14:13:20Z",
        "--for",
        "2h",
        "--site",
        "leeds-1",
    ];
    let added = print(&collector, &args).await.unwrap();
    assert_eq!(
        added,
        "maintenance window 1: nobody is told of what begins at site leeds-1 from 2026-09-21T14:13:20Z to \
         2026-09-21T16:13:20Z\n"
    );
    assert!(print(&collector, &["maintenance", "list"]).await.unwrap().contains("new router"));
    assert_eq!(
        print(&collector, &["maintenance", "end", "1"]).await.unwrap(),
        "maintenance window 1 is over\n"
    );
    let again = collector.operator(Method::DELETE, "/api/v1/alerts/maintenance/1").send().await.unwrap();
    assert_eq!(problem(again).await.0, 409);
    let missing = collector.operator(Method::GET, "/api/v1/alerts/7").send().await.unwrap();
    assert_eq!(problem(missing).await.0, 404);
    let replay = collector.operator(Method::POST, "/api/v1/alerts/replay").json(&json!({"last": "90d"}));
    let replay: Value = replay.send().await.unwrap().json().await.unwrap();
    assert!(replay["errors"][0].as_str().unwrap().contains("minutes are kept for 30d"), "{replay}");
    collector.stop().await;
}
