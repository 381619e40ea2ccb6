//! Providers that lie, stall or answer without end: nobody comes in through one, and nothing else of the collector notices.

use super::{
    Answer, Browser, CLIENT_ID, SECRET, beginning, collector, is_refused, let_in,
    provider::{Conduct, Hostile, Says, Signed, new_key, public},
    reached_at,
};
use crate::{
    collector::{Collector, NOON},
    process::{Process, configure, shell},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{net::SocketAddr, sync::Arc};
use url::Url;

/// The part of an address's query.
fn part(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned()
}

/// Goes to the provider and comes back at once, which then says in its token what was asked for.
async fn attempt(browser: &mut Browser, hostile: &Hostile, operators: SocketAddr) -> Answer {
    let begin = reached_at(operators).join("/sign-in/oidc?next=%2Fsites").unwrap();
    let away = browser.get(&begin).await;
    let Some(away) = away.location else { return away };
    hostile.does(|conduct| {
        let claims = conduct.claims.as_object_mut().unwrap();
        claims.entry("nonce").or_insert(part(&away, "nonce").into());
    });
    let mut back = reached_at(operators).join("/sign-in/oidc/callback").unwrap();
    back.query_pairs_mut().append_pair("code", "c0de").append_pair("state", &part(&away, "state"));
    let came = browser.get(&back).await;
    let redeemed = hostile.conduct.lock().unwrap().redeemed.clone();
    if let Some(verifier) = redeemed.get("code_verifier") {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        assert_eq!(
            (part(&away, "code_challenge"), part(&away, "code_challenge_method")),
            (challenge, "S256".into())
        );
    }
    came
}

/// A collector of such a provider, and an attempt to sign in there that is refused with these words.
async fn is_not_believed(change: impl FnOnce(&mut Conduct), status: u16, words: &str) {
    let directory = tempfile::tempdir().unwrap();
    let hostile = Hostile::start().await;
    let collector = collector(NOON, &hostile.issuer, directory.path()).await;
    hostile.does(change);
    let mut browser = Browser::open();
    let refused = attempt(&mut browser, &hostile, collector.operators).await;
    is_refused(&browser, &refused, status, words);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_one_is_believed_and_so_is_its_next_key() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = Hostile::start().await;
    let collector = collector(NOON, &hostile.issuer, directory.path()).await;
    let came = attempt(&mut Browser::open(), &hostile, collector.operators).await;
    assert_eq!(came.status, 200, "{}", came.text);
    let redeemed = hostile.conduct.lock().unwrap().redeemed.clone();
    assert_eq!(
        (redeemed["grant_type"].as_str(), redeemed["code"].as_str(), redeemed.get("client_secret")),
        ("authorization_code", "c0de", None),
        "the secret is in the header"
    );
    let rotate = |kid: &'static str| {
        hostile.does(|conduct| {
            (conduct.key, conduct.kid, conduct.claims) = (Arc::new(new_key()), kid, json!({}));
            conduct.keys = Says::Json(json!({"keys": [public(&conduct.key, kid)]}));
        });
    };
    rotate("next");
    let came = attempt(&mut Browser::open(), &hostile, collector.operators).await;
    assert_eq!(came.status, 200, "{}", came.text);
    // It is not asked again for each key that somebody makes up.
    rotate("one more");
    let mut browser = Browser::open();
    let refused = attempt(&mut browser, &hostile, collector.operators).await;
    is_refused(&browser, &refused, 502, "publishes no key");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_in_any_way_lets_nobody_in() {
    let cases = [
        (json!({"nonce": "another"}), "answers another attempt"),
        (json!({"iss": "http://127.0.0.1:1"}), "of another issuer"),
        (json!({"aud": "another"}), "for another client"),
        (json!({"aud": [CLIENT_ID, "another"]}), "for another client"),
        (json!({"exp": NOON.as_secs() - 61}), "has expired"),
        (json!({"iat": NOON.as_secs() + 3_600}), "of the future"),
        (json!({"sub": ""}), "names nobody"),
    ];
    for (claims, words) in cases {
        is_not_believed(|conduct| conduct.claims = claims, 502, words).await;
    }
    for (signed, words) in [
        (Signed::ByAnother, "signature of the ID token does not hold"),
        (Signed::Not, "not signed by an algorithm that is known"),
        (Signed::ByThePublicKey, "is signed by HS256, which proves nothing here"),
    ] {
        is_not_believed(|conduct| conduct.signed = signed, 502, words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_or_have_no_end_let_nobody_in() {
    type Change = fn(&mut Conduct);
    let cases: [(Change, &str); 11] = [
        (|conduct| conduct.metadata = Says::Status(500), "answered 500"),
        (|conduct| conduct.metadata = Says::Status(302), "answered 302"),
        (|conduct| conduct.metadata = Says::Json(json!(["no object"])), "no JSON object"),
        (|conduct| conduct.metadata = Says::Json(json!({"issuer": "http://other"})), "it is of issuer"),
        (|conduct| conduct.metadata = Says::Endless, "more than 262144 bytes"),
        (|conduct| conduct.keys = Says::Endless, "more than 262144 bytes"),
        (|conduct| conduct.keys = Says::Json(json!({"keys": []})), "no key that could sign"),
        (|conduct| conduct.token = Some(Says::Endless), "more than 262144 bytes"),
        (|conduct| conduct.token = Some(Says::Status(500)), "answered 500"),
        (|conduct| conduct.token = Some(Says::Json(json!({}))), "without an ID token"),
        (|conduct| conduct.token = Some(Says::Json(json!({"id_token": "a.b.c"}))), "cannot be read"),
    ];
    for (change, words) in cases {
        is_not_believed(change, 502, words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stalls_holds_up_its_own_people_for_a_while_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = Hostile::start().await;
    hostile.does(|conduct| conduct.metadata = Says::Nothing);
    let collector = collector(NOON, &hostile.issuer, directory.path()).await;
    let begin = beginning(&collector, "/");
    let waiting = async {
        let (mut one, mut other) = (Browser::open(), Browser::open());
        let (first, second) = tokio::join!(one.get(&begin), other.get(&begin));
        is_refused(&one, &first, 502, "takes too long");
        is_refused(&other, &second, 502, "takes too long");
    };
    let others = async {
        let (mut browser, at) = (Browser::open(), reached_at(collector.operators));
        assert_eq!(browser.get(&at.join("/sign-in").unwrap()).await.status, 200);
        let form = format!("token={}", collector.operator_token());
        assert_eq!(browser.post(&at.join("/sign-in").unwrap(), &form).await.status, 303);
        assert_eq!(browser.get(&at.join("/sites").unwrap()).await.status, 200);
    };
    tokio::pin!(waiting);
    tokio::select! {
        () = &mut waiting => panic!("others waited, too"),
        () = others => {}
    }
    waiting.await;
    // Both waited for one question.
    assert_eq!(hostile.conduct.lock().unwrap().asked, 1);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_anothers_name_or_without_a_code_lets_nobody_in() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = Hostile::start().await;
    let collector = collector(NOON, &hostile.issuer, directory.path()).await;
    for (added, status, words) in [
        (vec![("code", "c"), ("iss", "http://127.0.0.1:1")], 502, "of another issuer"),
        (vec![("error", "server_error<script>")], 403, "it answered server_error&#60;script&#62;."),
        (vec![], 403, "did not say why"),
    ] {
        let mut browser = Browser::open();
        let away = browser.get(&beginning(&collector, "/")).await.location.unwrap();
        let mut back = reached_at(collector.operators).join("/sign-in/oidc/callback").unwrap();
        back.query_pairs_mut().append_pair("state", &part(&away, "state")).extend_pairs(added);
        let refused = browser.get(&back).await;
        is_refused(&browser, &refused, status, words);
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_as_those_with_tokens_are() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = Hostile::start().await;
    let collector = Collector::start_known(NOON, |config, operators| {
        let_in(config, operators, &hostile.issuer, directory.path());
        config.limits.attempts_per_minute = 3;
    })
    .await;
    let (begin, mut browser) = (beginning(&collector, "/"), Browser::open());
    assert_eq!(browser.get(&begin).await.status, 303);
    let back = reached_at(collector.operators).join("/sign-in/oidc/callback?code=a&state=b").unwrap();
    assert_eq!(browser.get(&back).await.status, 400);
    assert_eq!(browser.get(&begin).await.status, 303);
    assert_eq!((browser.get(&begin).await.status, browser.get(&back).await.status), (429, 429));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_there_is_no_such_way_in() {
    let collector = Collector::start().await;
    for path in ["/sign-in/oidc", "/sign-in/oidc/callback?code=a&state=b"] {
        let answer = collector.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let page = collector.anonymous(Method::GET, "/sign-in").send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("Sign in with"), "{page}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_sign_in_tells_no_secret_at_its_most_talkative() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = Hostile::start().await;
    // The program's clock is the machine's.
    let now = peerlight_collector::clock::Clock::system().now().as_secs();
    hostile.does(|conduct| conduct.claims = json!({"iat": now, "exp": now + 300}));
    let store = directory.path().join("store");
    let configuration = configure(directory.path(), &store);
    let secret = directory.path().join("oidc.secret");
    std::fs::write(&secret, SECRET).unwrap();
    let text = std::fs::read_to_string(&configuration).unwrap();
    let section = format!(
        "[operators.oidc]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret_file = \"{}\"\n\
         claim = \"groups\"\nreaders = [\"noc\"]\nurl = \"http://localhost:8080\"\n",
        hostile.issuer,
        secret.display()
    );
    std::fs::write(&configuration, text + &section).unwrap();
    let process = Process::start(shell("export PEERLIGHT_LOG=trace"), &configuration, &store);
    let mut browser = Browser::open();
    let begin = reached_at(process.place.operators).join("/sign-in/oidc?next=%2F").unwrap();
    let away = browser.get(&begin).await.location.unwrap();
    let attempt_cookie = browser.cookie("localhost", "peerlight_attempt").unwrap().to_owned();
    let (state, nonce) = (part(&away, "state"), part(&away, "nonce"));
    hostile.does(|conduct| conduct.claims["nonce"] = nonce.as_str().into());
    let mut back = reached_at(process.place.operators).join("/sign-in/oidc/callback").unwrap();
    back.query_pairs_mut().append_pair("code", "c0de-of-this-attempt").append_pair("state", &state);
    let came = browser.get(&back).await;
    assert_eq!(came.status, 200, "{}", came.text);
    let session = browser.cookie("localhost", "peerlight_session").unwrap().to_owned();
    let (verifier, token) = {
        let conduct = hostile.conduct.lock().unwrap();
        (conduct.redeemed["code_verifier"].clone(), hostile.token(&conduct))
    };
    let signature = token.rsplit_once('.').unwrap().0.to_owned();
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
    let healthz = reached_at(process.place.operators).join("/healthz").unwrap();
    let said = loop {
        let said: Vec<Value> = levels.iter().flat_map(|level| process.said(level)).collect();
        let said = Value::from(said).to_string();
        // It may be on its way from the process still.
        if said.contains("a person signed in") {
            break said;
        }
        browser.get(&healthz).await;
    };
    assert!(said.contains("Ada Lovelace (ada at "), "{said}");
    for (what, secret) in [
        ("client secret", SECRET),
        ("attempt", &attempt_cookie),
        ("state", &state),
        ("nonce", &nonce),
        ("verifier", &verifier),
        ("code", "c0de-of-this-attempt"),
        ("ID token", &signature),
        ("session", &session),
    ] {
        assert!(!said.contains(secret), "the log tells the {what}");
    }
    process.kill();
}
