//! The operators' listener: who may ask, from where, and what the answers carry.

mod tls;

use crate::collector::{Collector, problem};
use peerlight_collector::router;
use reqwest::Method;

#[tokio::test]
async fn the_api_asks_for_a_token() {
    let collector = Collector::start().await;
    for path in ["/api/v1/status", "/api/v1/agents", "/metrics", "/api/v1/openapi.json"] {
        let response = collector.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(problem(response).await, (401, "sign-in-required".into()), "{path}");
        let wrong =
            collector.anonymous(Method::GET, path).bearer_auth("peerlight-operator.00").send().await.unwrap();
        assert_eq!(wrong.status(), 401, "{path}");
        assert_eq!(collector.operator(Method::GET, path).send().await.unwrap().status(), 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(collector.anonymous(Method::GET, path).send().await.unwrap().status(), 200, "{path}");
    }
    collector.stop().await;
}

#[tokio::test]
async fn a_browser_signs_in_and_out() {
    let collector = Collector::start().await;
    let page =
        collector.anonymous(Method::GET, "/metrics").header("accept", "text/html").send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers()["location"].to_str().unwrap()),
        (303, "/sign-in?next=%2Fmetrics")
    );
    let form = collector.anonymous(Method::GET, "/sign-in?next=%2Fmetrics").send().await.unwrap();
    assert!(form.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(form.text().await.unwrap().contains(r#"name="next" value="/metrics""#));

    let submit = |body: String| {
        collector
            .anonymous(Method::POST, "/sign-in")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", format!("http://{}", collector.operators))
            .body(body)
    };
    let refused = submit("token=nonsense".into()).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let signed_in =
        submit(format!("token={}&next=%2Fmetrics", collector.operator_token())).send().await.unwrap();
    assert_eq!(
        (signed_in.status().as_u16(), &signed_in.headers()["location"]),
        (303, &"/metrics".parse().unwrap())
    );
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();

    let with_cookie = |method, path| collector.anonymous(method, path).header("cookie", cookie);
    assert_eq!(with_cookie(Method::GET, "/metrics").send().await.unwrap().status(), 200);
    let out = with_cookie(Method::POST, "/sign-out").send().await.unwrap();
    assert_eq!(out.status(), 303);
    assert_eq!(with_cookie(Method::GET, "/metrics").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn another_host_is_not_answered_for() {
    let collector =
        Collector::start_with(|config| config.operators.hosts = vec!["peerlight.example".into()]).await;
    let ask = async |host: &str| {
        collector.operator(Method::GET, "/api/v1/status").header("host", host).send().await.unwrap()
    };
    for own in ["localhost", "127.0.0.1:9", "[::1]:9", "Peerlight.Example:9"] {
        assert_eq!(ask(own).await.status(), 200, "{own}");
    }
    for other in ["evil.example", "evil.example:8080", "192.0.2.1", "localhost.evil.example"] {
        assert_eq!(problem(ask(other).await).await, (421, "wrong-host".into()), "{other}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let collector = Collector::start().await;
    let add = async |name: &'static str, value: &str| {
        let provider = serde_json::json!({"name": "Example", "kind": "ISP"});
        let request = collector.operator(Method::POST, "/api/v1/providers").header(name, value);
        request.json(&provider).send().await.unwrap()
    };
    assert_eq!(problem(add("origin", "http://evil.example").await).await, (403, "cross-origin".into()));
    assert_eq!(problem(add("sec-fetch-site", "cross-site").await).await, (403, "cross-origin".into()));
    let own = format!("http://{}", collector.operators);
    assert_eq!(add("origin", &own).await.status(), 201);
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let collector = Collector::start().await;
    let ask = |method, path| collector.operator(method, path);
    let status = async |request: reqwest::RequestBuilder| problem(request.send().await.unwrap()).await;
    assert_eq!(status(ask(Method::GET, "/nothing")).await, (404, "not-found".into()));
    assert_eq!(status(ask(Method::PUT, "/api/v1/providers")).await, (405, "method-not-allowed".into()));
    assert_eq!(
        status(ask(Method::POST, "/api/v1/providers").body("{}")).await,
        (415, "unsupported-media-type".into())
    );
    let json = |body: String| {
        ask(Method::POST, "/api/v1/providers").header("content-type", "application/json").body(body)
    };
    assert_eq!(status(json("{".into())).await, (400, "bad-request".into()));
    assert_eq!(status(json("{}".into())).await, (422, "invalid".into()));
    assert_eq!(status(json(" ".repeat(70_000))).await, (413, "too-large".into()));
}

#[tokio::test]
async fn problems_are_counted() {
    let collector = Collector::start().await;
    assert_eq!(collector.operator(Method::GET, "/nothing").send().await.unwrap().status(), 404);
    let text = collector.operator(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#"peerlight_collector_problems_total{type="not-found"} 1"#), "{text}");
}

#[test]
fn the_api_is_described_as_it_is() {
    insta::assert_json_snapshot!(router::document());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_needs_no_authorities_where_nothing_is_encrypted() {
    let collector = Collector::start().await;
    let listed = crate::process::list_without_authorities(&collector, "provider");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    collector.stop().await;
}
