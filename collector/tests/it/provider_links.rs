//! A provider's link: whoever holds it sees that provider's own numbers in every page, report and export, and nothing of others.

use crate::{
    collector::{Collector, NOON, plain_client, problem},
    command::WIDE,
    seeded::{enrolled, measurement, push, seeded_collector, series},
};
use peerlight_collector::auth::SESSION_LENGTH;
use peerlight_proto::{
    metric::Metric,
    time::{Interval, IntervalLength},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

/// What a visitor of Borealis must never read: the other provider, its sites, prefixes, agents' target and places.
const OTHERS: [&str; 9] =
    ["Aurora", "site-0", "site-1", "site-2", "site-6", "198.51.100.", "198.51.106.", "aurora-only", "NL-NH"];
/// Every form of a report.
const FORMS: [&str; 4] = ["json", "ndjson", "csv", "parquet"];
const REPORTS: [&str; 7] =
    ["latency", "series", "availability", "time-of-day", "edges", "physics", "yardsticks"];

/// Both providers, and a place and a target that only the other one has.
async fn collector() -> Collector {
    let collector = seeded_collector().await;
    let location = json!({"code": "NL-NH", "time_zone": "Europe/Amsterdam"});
    let added = collector.operator(Method::POST, "/api/v1/locations").json(&location).send().await.unwrap();
    assert_eq!(added.status(), 201);
    let agent = enrolled(&collector, 6, "Aurora Networks", "NL-NH").await;
    let minute = |minute: u64| {
        let at = NOON.minus(Duration::from_mins(30 - minute));
        let interval = Interval::containing(at, IntervalLength::MINUTE);
        [0, 1].map(|series| measurement(6, series, interval, std::iter::repeat_n(30_000, 6), 0))
    };
    let dictionary = [Metric::TcpConnect, Metric::HttpsTcp].map(|metric| series(6, metric, "aurora-only"));
    push(&agent, 0, dictionary.into(), (0..20).flat_map(minute).collect()).await;
    collector
}

async fn print(collector: &Collector, arguments: &[&str]) -> (String, String) {
    let words = ["provider", "link"].iter().chain(arguments).copied();
    let printed = collector.command(words, WIDE).await.unwrap();
    (String::from_utf8(printed.out).unwrap(), String::from_utf8(printed.notes).unwrap())
}

/// The path that a new link leads to, and its secret.
async fn link(collector: &Collector) -> (String, String) {
    let (link, said) = print(collector, &["create", "borealis", "--for", "their peering team"]).await;
    let path = link.trim().to_owned();
    assert!(said.contains("shows the numbers of Borealis alone until 2026-10-21T"), "{said}");
    let secret = path.strip_prefix("/shared?token=").unwrap().to_owned();
    (path, secret)
}

async fn ask(collector: &Collector, secret: &str, path: &str) -> Response {
    collector.anonymous(Method::GET, path).bearer_auth(secret).send().await.unwrap()
}

fn reveals_nobody_else(path: &str, body: &[u8]) {
    for other in OTHERS {
        let found = body.windows(other.len()).any(|window| window == other.as_bytes());
        assert!(!found, "{path} tells of {other}: {}", String::from_utf8_lossy(body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_in_every_form_holds_the_providers_own_numbers_alone() {
    let collector = collector().await;
    let (_, secret) = link(&collector).await;
    for report in REPORTS {
        let span = if report == "time-of-day" { "last=7d" } else { "last=2h" };
        for form in FORMS {
            let path = format!("/api/v1/reports/{report}?{span}&format={form}");
            let answer = ask(&collector, &secret, &path).await;
            assert_eq!(answer.status(), 200, "{path}");
            let seen = answer.bytes().await.unwrap();
            reveals_nobody_else(&path, &seen);
            // Names are not to be found in a table that is compressed; JSON says what was asked, too.
            if form != "json" {
                let own = collector.operator(Method::GET, &format!("{path}&provider=Borealis"));
                let own = own.send().await.unwrap().bytes().await.unwrap();
                assert!(seen == own, "{path} is the provider's own table");
            }
        }
    }
    for by in ["site", "prefix", "target", "location", "family"] {
        let path = format!("/api/v1/reports/latency?last=2h&by=provider,{by}");
        let answer = ask(&collector, &secret, &path).await;
        let body = answer.bytes().await.unwrap();
        reveals_nobody_else(&path, &body);
        let seen: Value = serde_json::from_slice(&body).unwrap();
        let own = collector.operator(Method::GET, &format!("{path}&provider=Borealis")).send().await.unwrap();
        let own: Value = own.json().await.unwrap();
        assert!(!own["rows"].as_array().unwrap().is_empty());
        assert_eq!(
            (&seen["rows"], &seen["measured_until"]),
            (&own["rows"], &own["measured_until"]),
            "{path}"
        );
    }
    let letter = ask(&collector, &secret, "/api/v1/reports/html?last=2h").await;
    assert_eq!(letter.status(), 200);
    let letter = letter.text().await.unwrap();
    assert!(letter.contains("Borealis"), "{letter}");
    reveals_nobody_else("the letter", letter.as_bytes());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_another_by_name_tells_only_ones_own_names() {
    let collector = collector().await;
    let (_, secret) = link(&collector).await;
    for (asked, told) in [
        ("provider=Other", "there are Borealis"),
        ("location=NL", "there are DE-BE, FR-IDF, GB-LND"),
        ("site=leeds-1", "there are site-3, site-4, site-5"),
        ("target=nothing", "there are exchange-online, teams"),
    ] {
        for path in ["/api/v1/reports/latency", "/api/v1/reports/edges", "/latency", "/provider"] {
            let path = format!("{path}?last=2h&{asked}");
            let answer = ask(&collector, &secret, &path).await;
            assert_eq!(answer.status(), 422, "{path}");
            let body = answer.text().await.unwrap();
            assert!(body.contains(told), "{path}: {body}");
            reveals_nobody_else(&path, body.as_bytes());
        }
    }
    // The very names of others are unknown to them; the answer says no more than what was asked.
    for (asked, told) in [
        ("provider=Aurora%20Networks", "no provider `Aurora Networks`"),
        ("target=aurora-only", "no target `aurora-only`"),
    ] {
        let answer = ask(&collector, &secret, &format!("/api/v1/reports/latency?{asked}")).await;
        assert_eq!(answer.status(), 422);
        let body = answer.text().await.unwrap();
        assert!(body.contains(told) && !body.contains("site-0"), "{body}");
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_the_provider_alone_and_lead_nowhere_else() {
    let collector = collector().await;
    let (_, secret) = link(&collector).await;
    for path in [
        "/provider?last=2h",
        "/latency?last=2h&by=provider,site",
        "/series?last=2h",
        "/availability?last=2h",
        "/time-of-day",
        "/edges",
    ] {
        let answer = ask(&collector, &secret, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let html = answer.text().await.unwrap();
        reveals_nobody_else(path, html.as_bytes());
        let nav = html.split("aria-label=\"Pages\"").nth(1).unwrap().split("</nav>").next().unwrap();
        assert_eq!(nav.matches("<a ").count(), 6, "{nav}");
        assert!(html.contains("link 1 of Borealis"), "{html}");
    }
    let front = ask(&collector, &secret, "/").await;
    assert_eq!((front.status().as_u16(), front.headers()["location"].to_str().unwrap()), (303, "/provider"));
    for closed in [
        "/compare",
        "/alerts",
        "/map",
        "/sites",
        "/targets",
        "/registry",
        "/audit",
        "/metrics",
        "/api/v1/status",
        "/api/v1/alerts",
        "/api/v1/registrations",
        "/api/v1/provider-links",
        "/api/v1/reports/compare?providers=Borealis,Aurora%20Networks",
    ] {
        let refused = ask(&collector, &secret, closed).await;
        assert_eq!(problem(refused).await, (403, "not-allowed".to_owned()), "{closed}");
    }
    let change = collector.anonymous(Method::POST, "/api/v1/provider-links").bearer_auth(&secret);
    assert_eq!(change.json(&json!({"provider": "Borealis"})).send().await.unwrap().status(), 403);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_comes_in_by_a_button_until_the_link_expires_or_is_revoked() {
    let collector = collector().await;
    let (path, secret) = link(&collector).await;
    let shown = collector.anonymous(Method::GET, &path).send().await.unwrap();
    assert_eq!(
        (shown.status().as_u16(), shown.headers()["cache-control"].to_str().unwrap()),
        (200, "no-store")
    );
    let html = shown.text().await.unwrap();
    assert!(html.contains("How Borealis reached") && html.contains(&format!("value=\"{secret}\"")), "{html}");
    let press = async |secret: &str| {
        let form = collector.anonymous(Method::POST, "/shared");
        let form = form.header("origin", format!("http://{}", collector.operators));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        form.body(format!("token={secret}")).send().await.unwrap()
    };
    let opened = press(&secret).await;
    assert_eq!(
        (opened.status().as_u16(), opened.headers()["location"].to_str().unwrap()),
        (303, "/provider")
    );
    let cookie = opened.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let visit = async |path: &str| {
        let request = plain_client().get(format!("http://{}{path}", collector.operators));
        request.header("cookie", &cookie).header("accept", "text/html").send().await.unwrap()
    };
    let page = visit("/provider?last=2h").await;
    assert_eq!(page.status(), 200);
    reveals_nobody_else("/provider", &page.bytes().await.unwrap());
    assert_eq!(visit("/registry").await.status(), 403);

    let (listed, _) = print(&collector, &["list"]).await;
    assert!(listed.contains("their peering team") && listed.contains("2026-09-21T14:13:20Z"), "{listed}");
    let (out, notes) = print(&collector, &["revoke", "1"]).await;
    assert!(format!("{out}{notes}").contains("revoked link 1 of Borealis"), "{out}{notes}");
    let out = visit("/provider").await;
    assert_eq!(
        (out.status().as_u16(), out.headers()["location"].to_str().unwrap()),
        (303, "/sign-in?next=%2Fprovider")
    );
    assert_eq!(press(&secret).await.status(), 403);
    let refused = collector.anonymous(Method::GET, &path).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("This link does not hold"));

    let (_, another) = link(&collector).await;
    collector.clock.set(NOON.plus(Duration::from_hours(30 * 24)));
    assert_eq!(problem(ask(&collector, &another, "/api/v1/reports/latency").await).await.0, 401);
    assert!(SESSION_LENGTH < Duration::from_hours(30 * 24));
    let audit = collector.operator(Method::GET, "/api/v1/audit").send().await.unwrap();
    let audit = audit.text().await.unwrap();
    for what in ["provider link create", "provider link open", "provider link revoke"] {
        assert!(audit.contains(what), "{what} is not in {audit}");
    }
    assert!(!audit.contains(&secret));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_made_and_revoked_on_the_page_of_the_registry() {
    let collector = Collector::start_with(|config| {
        config.alerts.url = Some("https://peerlight.example.com".parse().unwrap());
    })
    .await;
    collector.token("london-1").await;
    let send = async |path: &str, body: &'static str| {
        let form = collector.operator(Method::POST, path).header("accept", "text/html");
        let form = form.header("origin", format!("http://{}", collector.operators));
        form.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
    };
    let wrong = send("/registry/links", "provider=Nobody&life=long").await;
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().await.unwrap().contains("write a length of time such as 30d"));
    let made = send("/registry/links", "provider=Example+Telecom&note=Jo&life=7d").await;
    assert_eq!(made.status(), 200);
    let html = made.text().await.unwrap();
    let link = html.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(link.starts_with("https://peerlight.example.com/shared?token=peerlight-provider."), "{link}");
    let page = collector.operator(Method::GET, "/registry").send().await.unwrap().text().await.unwrap();
    assert!(
        page.contains("<td>Jo</td>") && page.contains("never") && !page.contains("/shared?token="),
        "{page}"
    );
    let revoked = send("/registry/links/1/revoke", "").await;
    assert_eq!(revoked.status(), 303);
    let page = collector.operator(Method::GET, "/registry").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("No link holds."), "{page}");
    assert_eq!(send("/registry/links/9/revoke", "").await.status(), 404);
    collector.stop().await;
}
