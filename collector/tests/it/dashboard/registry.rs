//! The registry's forms obey the rules of the API, keep what was typed, and take nothing from another origin or a reader.

use crate::collector::{Collector, plain_client};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// A form as a browser of this origin sends it.
fn form(collector: &Collector, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    collector
        .operator(Method::POST, path)
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", format!("http://{}", collector.operators))
        .header("sec-fetch-site", "same-origin")
        .body(body)
}

async fn sent(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let (status, place) = (answer.status().as_u16(), answer.headers().get("location").cloned());
    let text = answer.text().await.unwrap();
    (status, place.map_or(text, |place| place.to_str().unwrap().to_owned()))
}

const SITE: [(&str, &str); 6] = [
    ("site", "london-1"),
    ("provider", "Example Telecom"),
    ("location", "GB-LND"),
    ("prefixes", "203.0.113.0/25\r\n203.0.113.128/25"),
    ("allow_non_public", "true"),
    ("action", "add"),
];

#[tokio::test]
async fn a_site_is_registered_given_a_token_and_ended_by_forms_alone() {
    let collector = Collector::start().await;
    let provider = [("name", "Example Telecom"), ("kind", "ISP"), ("countries", "GB"), ("asns", "AS64500")];
    assert_eq!(
        sent(form(&collector, "/registry/providers", &provider)).await,
        (303, "/registry?done=provider#providers".into())
    );
    let location = [("code", "GB-LND"), ("time_zone", "Europe/London")];
    assert_eq!(sent(form(&collector, "/registry/locations", &location)).await.0, 303);
    let mut check = SITE;
    check[5] = ("action", "check");
    let (status, html) = sent(form(&collector, "/registry/registrations", &check)).await;
    assert!(
        status == 200 && html.contains("Every check passes") && html.contains("value=\"london-1\""),
        "{html}"
    );
    let (status, place) = sent(form(&collector, "/registry/registrations", &SITE)).await;
    assert_eq!((status, place.as_str()), (303, "/registry?done=registration#registrations"));
    let (_, html) = sent(collector.operator(Method::GET, "/registry").header("accept", "text/html")).await;
    // Two halves of a /24 are two connections.
    assert!(
        html.contains("<strong>$30</strong>") && html.contains("203.0.113.0/25, 203.0.113.128/25"),
        "{html}"
    );
    let (status, html) = sent(form(&collector, "/registry/tokens", &[("registration", "1")])).await;
    assert!(status == 200 && html.contains("peerlight1."), "{html}");
    let (status, _) = sent(form(&collector, "/registry/registrations/1/end", &[("at", "")])).await;
    assert_eq!(status, 303);
    let (status, html) = sent(form(&collector, "/registry/registrations/1/end", &[("at", "")])).await;
    assert!(status == 409 && html.contains("has already ended"), "{html}");
    collector.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said_at_once_as_the_api_says_it_and_what_was_typed_stays() {
    let collector = Collector::start().await;
    let (status, html) = sent(form(&collector, "/registry/registrations", &SITE)).await;
    assert_eq!(status, 422);
    let body = json!({"site": "london-1", "provider": "Example Telecom", "location": "GB-LND",
        "prefixes": ["203.0.113.0/25", "203.0.113.128/25"], "allow_non_public": true});
    let answer = collector.operator(Method::POST, "/api/v1/registrations").json(&body).send().await.unwrap();
    let problem: Value = answer.json().await.unwrap();
    let errors = problem["errors"].as_array().unwrap();
    assert!(errors.len() >= 2, "{problem}");
    for error in errors.iter().filter_map(Value::as_str) {
        let escaped = error.replace('\'', "&#39;").replace('"', "&#34;").replace('<', "&#60;");
        assert!(html.contains(&format!("<li>{escaped}</li>")), "{error} is not in {html}");
    }
    assert!(html.contains("203.0.113.128/25") && html.contains("role=\"alert\""), "{html}");
    let (status, html) =
        sent(form(&collector, "/registry/providers", &[("name", "X"), ("kind", "telco"), ("asns", "many")]))
            .await;
    assert!(
        status == 422 && html.contains("write ISP, IXP or SDCI") && html.contains("`many` is not a number"),
        "{html}"
    );
    collector.stop().await;
}

#[tokio::test]
async fn neither_another_origin_nor_a_reader_changes_anything() {
    let collector = Collector::start().await;
    let provider = [("name", "Example Telecom"), ("kind", "ISP")];
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let body = "name=Example+Telecom&kind=ISP";
        let forged = collector
            .operator(Method::POST, "/registry/providers")
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header(name, value)
            .body(body);
        let (status, html) = sent(forged).await;
        assert!(status == 403 && html.contains("Changes are accepted from this origin only"), "{html}");
    }
    let reader = json!({"name": "wall", "role": "reader"});
    let made = collector.operator(Method::POST, "/api/v1/operators").json(&reader).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    let at = |method, path: &str| {
        let url = format!("http://{}{path}", collector.operators);
        plain_client().request(method, url).bearer_auth(token).header("accept", "text/html")
    };
    let (_, html) = sent(at(Method::GET, "/registry")).await;
    assert!(!html.contains("method=\"post\" action=\"/registry"), "{html}");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(provider).finish();
    let refused =
        at(Method::POST, "/registry/providers").header("content-type", "application/x-www-form-urlencoded");
    let (status, html) = sent(refused.body(body)).await;
    assert!(status == 403 && html.contains("may only read"), "{html}");
    let providers = collector.operator(Method::GET, "/api/v1/providers").send().await.unwrap();
    let providers: Value = providers.json().await.unwrap();
    assert_eq!(providers["total"], 0);
    collector.stop().await;
}

#[tokio::test]
async fn an_error_is_a_page_for_whoever_asks_for_one_and_keeps_its_policy() {
    let collector = Collector::start().await;
    let page =
        collector.operator(Method::GET, "/nowhere").header("accept", "text/html").send().await.unwrap();
    assert_eq!(page.status(), 404);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let html = page.text().await.unwrap();
    assert!(html.contains("There is no such resource") && html.contains("404"), "{html}");
    let plain = collector.operator(Method::GET, "/nowhere").send().await.unwrap();
    assert_eq!(plain.headers()["content-type"], "application/problem+json");
    let api = collector
        .operator(Method::GET, "/api/v1/nowhere")
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(api.headers()["content-type"], "application/problem+json");
    collector.stop().await;
}

#[tokio::test]
async fn each_list_is_a_file_and_that_of_registrations_can_be_imported() {
    let collector = Collector::start().await;
    let provider = [("name", "Example Telecom"), ("kind", "ISP"), ("countries", "GB"), ("asns", "AS64500")];
    let location =
        [("code", "GB-LND"), ("time_zone", "Europe/London"), ("latitude", "51.5"), ("longitude", "-0.1")];
    for (path, fields) in [
        ("/registry/providers", &provider[..]),
        ("/registry/locations", &location),
        ("/registry/registrations", &SITE),
    ] {
        assert_eq!(sent(form(&collector, path, fields)).await.0, 303, "{path}");
    }
    let file = async |query: &str| {
        let answer = collector.operator(Method::GET, &format!("/registry?{query}")).send().await.unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/csv"), "{query}");
        answer.text().await.unwrap()
    };
    assert_eq!(
        file("csv=providers").await,
        "name,kind,countries,asns,aliases\nExample Telecom,ISP,GB,64500,\n"
    );
    assert_eq!(
        file("csv=locations").await,
        "code,name,time_zone,latitude,longitude\nGB-LND,\"London, City of\",Europe/London,51.5,-0.1\n"
    );
    let registrations = file("csv=registrations").await;
    assert!(
        registrations.contains("london-1,Example Telecom,GB-LND,203.0.113.0/25 203.0.113.128/25,"),
        "{registrations}"
    );
    assert_eq!(file("csv=registrations&find=nobody").await.lines().count(), 1);
    let (_, html) =
        sent(collector.operator(Method::GET, "/registry?find=london").header("accept", "text/html")).await;
    assert!(html.contains("href=\"/registry?csv=registrations&#38;find=london\""), "{html}");
    // Another collector takes it as it is; these prefixes are of laboratories.
    let mut lines = registrations.lines();
    let header = format!("{},allow_non_public", lines.next().unwrap());
    let body: String = std::iter::once(header)
        .chain(lines.map(|line| format!("{line},true")))
        .map(|line| line + "\n")
        .collect();
    let imported = collector
        .operator(Method::POST, "/api/v1/registrations/import")
        .header("content-type", "text/csv")
        .body(body)
        .send()
        .await
        .unwrap();
    let (status, said) = (imported.status().as_u16(), imported.json::<Value>().await.unwrap());
    assert_eq!((status, &said["unchanged"]), (200, &json!(1)), "{said}");
    collector.stop().await;
}
