//! A provider that the OpenID Foundation certified: node-oidc-provider. Where it cannot be had the tests say so by name.

use super::{Answer, Browser, SECRET, beginning, collector, is_refused, let_in, reached_at};
use crate::{collector::Collector, command::WIDE};
use peerlight_browser::{axe, chromium::Chromium, door::FrontDoor, node::installed};
use peerlight_collector::clock::Clock;
use reqwest::{Certificate, Method};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

const PACKAGE: &str = "oidc-provider@9.13.3";
/// Where packages stay for the next run.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");
const SCRIPT: &str = include_str!("provider.mjs");

/// A running provider, which is ended with the test.
struct Certified {
    issuer: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Certified {
    /// Starts one, as `change` says; none where there is no such package.
    #[expect(clippy::print_stderr, reason = "a test says what it skips")]
    async fn start(change: Value) -> Option<Self> {
        let modules =
            match tokio::task::spawn_blocking(|| installed(Path::new(KEPT), "oidc-provider", PACKAGE))
                .await
                .unwrap()
            {
                Ok(modules) => modules,
                Err(why) => {
                    eprintln!("skipped: no OpenID provider: {why}");
                    return None;
                }
            };
        let mut asked = json!({
            "secret": SECRET,
            "method": "client_secret_basic",
            "accounts": {
                "ada": {"name": "Ada Lovelace", "groups": ["noc", "staff"]},
                "rob": {"name": "Rob <b>Reader</b>", "groups": ["staff"]},
                "eve": {"name": "Eve", "groups": ["others"]},
                "sam": {"name": "Sam"},
            },
        });
        for (key, value) in change.as_object().unwrap() {
            asked[key] = value.clone();
        }
        let mut child = tokio::process::Command::new("node")
            .args(["--input-type=module", "--eval", SCRIPT, "--", &asked.to_string()])
            // Where it finds the package.
            .current_dir(modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let issuer = lines.next_line().await.unwrap().unwrap();
        Some(Self { issuer, child, lines })
    }

    /// Sends people back to this collector from now on.
    async fn serve(&mut self, operators: SocketAddr) {
        let redirect = reached_at(operators).join("/sign-in/oidc/callback").unwrap();
        let line = format!("{redirect}\n");
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        assert_eq!(self.lines.next_line().await.unwrap().as_deref(), Some("ready"));
    }
}

/// A provider with these accounts, and a collector that lets them in; none where there is no such package.
async fn both(directory: &Path, change: Value) -> Option<(Certified, Collector)> {
    let mut provider = Certified::start(change).await?;
    let collector = collector(Clock::system().now(), &provider.issuer, directory).await;
    provider.serve(collector.operators).await;
    Some((provider, collector))
}

/// Signs somebody in at the provider, or declines where nobody is named; what the collector answers to whoever comes back.
async fn sign_in(browser: &mut Browser, collector: &Collector, next: &str, who: &str) -> Answer {
    let away = browser.get(&beginning(collector, next)).await;
    assert_eq!(away.status, 303, "{}", away.text);
    let form = browser.get(&away.location.unwrap()).await.location.unwrap();
    assert_eq!(browser.get(&form).await.status, 200);
    let resumed = browser.post(&form, &format!("login={who}")).await.location.unwrap();
    let back = browser.get(&resumed).await.location.unwrap();
    assert_eq!(back.path(), "/sign-in/oidc/callback", "{back}");
    // Its clock is the machine's.
    collector.clock.set(Clock::system().now());
    browser.get(&back).await
}

/// What the command line prints of it.
async fn print(collector: &Collector, arguments: &[&str]) -> String {
    let words = ["operator", "session"].iter().chain(arguments).copied();
    collector.command(words, WIDE).await.unwrap().all()
}

/// Asks the collector for a page or a document as whoever is signed in.
async fn visit(browser: &mut Browser, collector: &Collector, path: &str) -> Answer {
    browser.get(&reached_at(collector.operators).join(path).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_comes_in_is_named_in_the_audit_and_is_out_when_an_operator_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let Some((provider, collector)) = both(directory.path(), json!({})).await else { return };
    let mut browser = Browser::open();
    let page = visit(&mut browser, &collector, "/sign-in?next=%2Fsites").await;
    let href = page.text.split("provider\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(href.replace("&#38;", "&"), beginning(&collector, "/sites").as_str());

    let came = sign_in(&mut browser, &collector, "/sites?a=1&b=2", "ada").await;
    assert_eq!(came.status, 200, "{}", came.text);
    assert!(came.text.contains("Signed in as Ada Lovelace"), "{}", came.text);
    assert!(came.text.contains("content=\"0; url=/sites?a=1&#38;b=2\""), "{}", came.text);
    let session = came.set.iter().find(|cookie| cookie.starts_with("peerlight_session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Strict"), "{session}");
    assert_eq!(browser.cookie("localhost", "peerlight_attempt"), None, "the attempt is over");

    let sites = visit(&mut browser, &collector, "/sites").await;
    assert!(
        sites.status == 200 && sites.text.contains("<span class=\"who\">Ada Lovelace</span>"),
        "{}",
        sites.text
    );
    let add = reached_at(collector.operators).join("/registry/providers").unwrap();
    let added = browser.post(&add, "name=Example+Telecom&kind=ISP").await;
    assert_eq!(added.status, 303, "{}", added.text);

    let who = format!("Ada Lovelace (ada at {})", provider.issuer);
    let audit: Value =
        collector.operator(Method::GET, "/api/v1/audit").send().await.unwrap().json().await.unwrap();
    let entries = audit["items"].as_array().unwrap();
    let told: Vec<_> = entries.iter().take(2).map(|entry| (&entry["who"], entry["what"].as_str())).collect();
    let who_json = Value::from(who.clone());
    assert_eq!(told, [(&who_json, Some("provider add")), (&who_json, Some("sign-in"))]);
    let after =
        ["issuer", "subject", "name", "role"].map(|field| entries[1]["after"][field].as_str().unwrap());
    assert_eq!(after, [provider.issuer.as_str(), "ada", "Ada Lovelace", "administrator"]);

    let listed = print(&collector, &["list"]).await;
    assert!(listed.contains(&who) && listed.contains("administrator"), "{listed}");
    let ended = print(&collector, &["end", "1"]).await;
    assert!(ended.contains(&format!("ended session 1 of {who}")), "{ended}");
    let out = visit(&mut browser, &collector, "/sites").await;
    assert_eq!((out.status, out.location.unwrap().path()), (303, "/sign-in"));
    assert!(print(&collector, &["list"]).await.contains("nobody is signed in"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_changes_nothing_signs_out_and_is_led_to_no_other_host() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_provider, collector)) = both(directory.path(), json!({"method": "client_secret_post"})).await
    else {
        return;
    };
    let mut browser = Browser::open();
    let came = sign_in(&mut browser, &collector, "//evil.example/", "rob").await;
    assert!(came.status == 200 && came.text.contains("content=\"0; url=/\""), "{}", came.text);
    assert!(came.text.contains("Rob &#60;b&#62;Reader"), "{}", came.text);
    assert_eq!(visit(&mut browser, &collector, "/audit").await.status, 200);
    let add = reached_at(collector.operators).join("/registry/providers").unwrap();
    assert_eq!(browser.post(&add, "name=Example+Telecom&kind=ISP").await.status, 403);
    let out = reached_at(collector.operators).join("/sign-out").unwrap();
    assert_eq!(browser.post(&out, "").await.status, 303);
    assert_eq!(visit(&mut browser, &collector, "/audit").await.status, 303);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_right_here_or_declines_is_told_so_and_stays_out() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_provider, collector)) = both(directory.path(), json!({})).await else { return };
    for (who, words) in [
        ("eve", "you are Eve, and you may not come in: the provider gives no `groups`"),
        ("sam", "you are Sam, and you may not come in: the provider says nothing of `groups`"),
        ("", "it was declined there"),
    ] {
        let mut browser = Browser::open();
        let refused = sign_in(&mut browser, &collector, "/sites", who).await;
        is_refused(&browser, &refused, 403, words);
    }
    let audit = collector.operator(Method::GET, "/api/v1/audit").send().await.unwrap().text().await.unwrap();
    assert!(!audit.contains("sign-in"), "{audit}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_once_and_from_the_browser_that_asked_alone() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_provider, collector)) = both(directory.path(), json!({})).await else { return };
    let (mut ada, mut victim) = (Browser::open(), Browser::open());
    let away = ada.get(&beginning(&collector, "/")).await;
    let form = ada.get(&away.location.unwrap()).await.location.unwrap();
    let resumed = ada.post(&form, "login=ada").await.location.unwrap();
    let back = ada.get(&resumed).await.location.unwrap();
    collector.clock.set(Clock::system().now());
    let lost = "belongs to no attempt that this browser began";
    // Without a cookie, with that of another attempt, and with a state that was made up.
    let taken_in = victim.get(&back).await;
    is_refused(&victim, &taken_in, 400, lost);
    victim.get(&beginning(&collector, "/")).await;
    let taken_in = victim.get(&back).await;
    is_refused(&victim, &taken_in, 400, lost);
    let attempt = ada.cookie("localhost", "peerlight_attempt").unwrap().to_owned();
    let mut made_up = back.clone();
    made_up.query_pairs_mut().clear().append_pair("code", "x").append_pair("state", "x");
    let refused = ada.get(&made_up).await;
    is_refused(&ada, &refused, 400, lost);

    ada.put_cookie("localhost", "peerlight_attempt", &attempt);
    assert_eq!(ada.get(&back).await.status, 200);
    // The provider itself redeems a code once.
    let mut thief = Browser::open();
    thief.put_cookie("localhost", "peerlight_attempt", &attempt);
    let again = thief.get(&back).await;
    is_refused(&thief, &again, 502, "invalid_grant");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_with_what_to_compare() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_provider, collector)) = both(directory.path(), json!({"secret": "another"})).await else {
        return;
    };
    let mut browser = Browser::open();
    let refused = sign_in(&mut browser, &collector, "/", "ada").await;
    is_refused(&browser, &refused, 502, "compare client_id and client_secret_file");
    assert!(!refused.text.contains("s~ecret"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_provider_is_believed_by_its_ca_file_alone() {
    let directory = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (pem, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    let Some(mut provider) = Certified::start(json!({"tls": {"cert": pem, "key": key}})).await else {
        return;
    };
    let now = Clock::system().now();
    let distrusting = collector(now, &provider.issuer, directory.path()).await;
    let mut browser = Browser::open();
    let refused = browser.get(&beginning(&distrusting, "/")).await;
    is_refused(&browser, &refused, 502, "certificate");
    distrusting.stop().await;

    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, &pem).unwrap();
    let trusting = Collector::start_known(now, |config, operators| {
        let_in(config, operators, &provider.issuer, directory.path());
        config.operators.oidc.as_mut().unwrap().ca_file = Some(ca_file);
    })
    .await;
    provider.serve(trusting.operators).await;
    let mut browser = Browser::trusting(Certificate::from_pem(pem.as_bytes()).unwrap());
    let came = sign_in(&mut browser, &trusting, "/", "ada").await;
    assert_eq!(came.status, 200, "{}", came.text);
    trusting.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_signs_in_through_the_provider_and_finds_nothing_to_complain_of() {
    let Some(chromium) = Chromium::find() else {
        eprintln!("skipped: no Chromium");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let Some((_provider, collector)) = both(directory.path(), json!({"click": "ada"})).await else { return };
    // Three sites on the way: the collector's, the provider's, and back.
    let visit = chromium.dump(beginning(&collector, "/audit").as_str(), 10_000).await;
    assert!(visit.document.contains("<span class=\"who\">Ada Lovelace</span>"), "{}", visit.document);
    assert!(visit.document.contains("<td>sign-in</td>"), "{}", visit.document);
    assert!(visit.complaints.is_empty(), "{:?}", visit.complaints);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_sign_in_are_seen_and_read_by_everybody() {
    let Some(chromium) = Chromium::find() else {
        eprintln!("skipped: no Chromium");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = collector(Clock::system().now(), &format!("http://{nobody}"), directory.path()).await;
    let door = FrontDoor::open(collector.operators, collector.operator_token()).await;
    for (path, of) in [("/sign-in", "sign-in-provider"), ("/sign-in/oidc?next=%2F", "sign-in-unavailable")] {
        let visit = chromium.dump(&door.url(path), 1_000).await;
        assert!(visit.complaints.iter().all(|complaint| complaint.contains("502")), "{:?}", visit.complaints);
        chromium.photograph_all(&door, path, of).await;
    }
    match axe::scripts(Path::new(KEPT)) {
        Ok(scripts) => {
            let door =
                FrontDoor::with_scripts(collector.operators, collector.operator_token(), scripts).await;
            for path in ["/sign-in", "/sign-in/oidc?next=%2F"] {
                axe::finds_nothing(&chromium, &door, path).await;
            }
        }
        Err(why) => eprintln!("skipped: no axe-core: {why}"),
    }
    collector.stop().await;
}
