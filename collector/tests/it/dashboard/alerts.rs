//! The pages of alerts: the API's alerts and nothing else, in every state, and what operators say to them by forms.

use super::open;
use crate::{
    alerts::{maintained, outage},
    collector::Collector,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

async fn get(collector: &Collector, path: &str) -> Value {
    collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

async fn read(collector: &Collector, path: &str) -> String {
    let page = open(collector, path).await;
    assert_eq!(page.status(), 200, "{path}");
    page.text().await.unwrap()
}

/// A form of the page's own.
async fn send(collector: &Collector, path: &str, body: &'static str) -> Response {
    let form = collector
        .operator(Method::POST, path)
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", format!("http://{}", collector.operators));
    form.body(body).send().await.unwrap()
}

fn seconds(instant: &Value) -> String {
    format!("{}Z", instant.as_str().unwrap().split(['.', 'Z']).next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_of_the_api_is_a_line_with_its_life_its_culprit_and_its_vote() {
    let collector = outage().await;
    let list = get(&collector, "/api/v1/alerts").await;
    assert_eq!(list["total"], 1);
    let alert = &list["items"][0];
    let html = read(&collector, "/alerts").await;
    let id = alert["id"].as_u64().unwrap();
    let line = html.split("<tr class=\"firing\">").nth(1).unwrap().split("</tr>").next().unwrap();
    for told in [
        format!("href=\"/alerts/{id}\""),
        alert["summary"].as_str().unwrap().to_owned(),
        "to blame: provider Aurora Networks at GB-LND".to_owned(),
        "2 of 2 sites of Aurora Networks at GB-LND".to_owned(),
        seconds(&alert["since"]),
        seconds(&alert["fired"]),
        format!("{} sites, {} target", alert["evidence"]["site_count"], alert["evidence"]["target_count"]),
        "class=\"stage-firing\"".to_owned(),
    ] {
        assert!(line.contains(&told), "{told} is not in {line}");
    }
    // It is wrong now.
    let overview = read(&collector, "/").await;
    let now = overview.split("id=\"now\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(now.contains(&format!("href=\"/alerts/{id}\"")), "{now}");
    assert!(!read(&collector, "/?provider=Borealis").await.contains(&format!("href=\"/alerts/{id}\"")));

    // The rules in force stand below.
    assert!(html.contains("Rules in force") && html.contains("data-every=\"10\""), "{html}");

    let csv = read(&collector, "/alerts?format=csv").await;
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let second = csv.lines().nth(1).unwrap();
    assert!(second.starts_with(&format!("{id},firing,page,")) && second.contains("2 of 2 sites"), "{csv}");

    // Filters are of the address; what they leave out is said to be there.
    let none = read(&collector, "/alerts?provider=Borealis").await;
    assert!(none.contains("None is like that") && !none.contains("<tr class="), "{none}");
    assert!(
        read(&collector, "/alerts?provider=aurora+networks&location=GB&state=open")
            .await
            .contains("<tr class=\"firing\">")
    );
    let wrong = open(&collector, "/alerts?state=bad&by=site").await;
    assert_eq!(wrong.status(), 422);
    let wrong = wrong.text().await.unwrap();
    assert!(wrong.contains("`bad` is none of") && wrong.contains("`by` is not a parameter"), "{wrong}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_has_a_page_of_its_own_and_operators_say_something_to_it_by_forms() {
    let collector = outage().await;
    let list = get(&collector, "/api/v1/alerts").await;
    let id = list["items"][0]["id"].as_u64().unwrap();
    let detail = get(&collector, &format!("/api/v1/alerts/{id}")).await;
    let path = format!("/alerts/{id}");
    let html = read(&collector, &path).await;
    let readings = detail["evidence"]["readings"].as_array().unwrap();
    assert_eq!(readings.len(), 2);
    for reading in readings {
        let line = html
            .split("<tr>")
            .skip(1)
            .find(|line| line.contains(reading["site"].as_str().unwrap()) && line.contains("tcp.connect"));
        let line = line.unwrap_or_else(|| panic!("{reading} is not in {html}"));
        let samples = format!("<td class=\"n\">{}</td>", reading["samples"]);
        assert!(line.contains("100.0%") && line.contains(&samples), "{line}");
        assert!(line.contains(&seconds(&reading["from"])), "{line}");
    }
    let figures = html.split("<a href=\"").find(|link| link.starts_with("/latency?")).unwrap();
    let figures = figures.split('"').next().unwrap().replace("&#38;", "&");
    assert_eq!(format!("/api/v1/reports{figures}"), detail["evidence"]["report"].as_str().unwrap());
    assert!(html.contains("No receiver was told") && html.contains("first bad"), "{html}");

    let answer = send(&collector, &format!("{path}/acknowledgement"), "note=called+them").await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
        (303, path.as_str())
    );
    let answer = send(&collector, &format!("{path}/silence"), "for=2h").await;
    assert_eq!(answer.status(), 303);
    let html = read(&collector, &path).await;
    for told in
        ["acknowledged by local: called them", "silenced until 2026-09-21T16:13:20Z", "End the silence"]
    {
        assert!(html.contains(told), "{told} is not in {html}");
    }
    assert!(read(&collector, "/alerts").await.contains("stage-acknowledged\" x="));
    let wrong = send(&collector, &format!("{path}/silence"), "for=long").await;
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().await.unwrap().contains("a length of time such as 4h"));
    let foreign =
        collector.operator(Method::POST, &format!("{path}/silence")).header("origin", "http://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert_eq!(open(&collector, "/alerts/77").await.status(), 404);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_alert_is_said_and_maintenance_is_listed() {
    let collector = maintained().await;
    let html = read(&collector, "/alerts").await;
    assert!(html.contains("Nothing is wrong that the rules below look for, and nothing has been."), "{html}");
    let line = html.split("<tr>").find(|line| line.contains("new router")).unwrap();
    for told in ["site leeds-1", "to come", "2026-09-21T16:13:20Z"] {
        assert!(line.contains(told), "{told} is not in {line}");
    }
    let csv = read(&collector, "/alerts?format=maintenance").await;
    assert!(csv.starts_with("where,when,from,to,what for,by,window\nsite leeds-1,to come,"), "{csv}");
    // A reader is shown the window, and no form.
    let reader = json!({"name": "wall", "role": "reader"});
    let made = collector.operator(Method::POST, "/api/v1/operators").json(&reader).send().await.unwrap();
    let token = made.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let seen = collector.anonymous(Method::GET, "/alerts").bearer_auth(&token).header("accept", "text/html");
    let seen = seen.send().await.unwrap().text().await.unwrap();
    assert!(seen.contains("new router") && !seen.contains("action=\"/alerts/maintenance"), "{seen}");
    assert!(read(&collector, "/alerts?format=rules").await.lines().count() > 5);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_announced_and_ended_by_forms_as_the_api_does_it() {
    let collector = Collector::start().await;
    collector.token("london-1").await;
    let html = read(&collector, "/alerts").await;
    assert!(
        html.contains("No maintenance is under way") && html.contains(">Example Telecom</option>"),
        "{html}"
    );
    let form = "provider=Example+Telecom&location=GB-LND&site=&target=&from=2026-09-21T15%3A00%3A00Z&until=90m\
                &reason=new+fibre";
    let answer = send(&collector, "/alerts/maintenance", form).await;
    let there = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!((answer.status().as_u16(), there.as_str()), (303, "/alerts?done=maintenance#maintenance"));
    let list = get(&collector, "/api/v1/alerts/maintenance").await;
    let window = &list["items"][0];
    let scope =
        json!({"providers": ["Example Telecom"], "locations": ["GB-LND"], "sites": [], "targets": []});
    assert_eq!((&list["total"], &window["scope"]), (&json!(1), &scope), "{list}");
    assert_eq!(window["to"], "2026-09-21T16:30:00Z");
    let html = read(&collector, "/alerts?done=maintenance").await;
    let line = html.split("<tr>").find(|line| line.contains("new fibre")).unwrap();
    for told in [
        "provider Example Telecom, location GB-LND",
        "to come",
        "2026-09-21T15:00:00Z",
        "2026-09-21T16:30:00Z",
        "local",
    ] {
        assert!(line.contains(told), "{told} is not in {line}");
    }
    assert!(html.contains("The maintenance is announced."), "{html}");
    let id = window["id"].as_i64().unwrap();
    let end = format!("/alerts/maintenance/{id}/end");
    assert!(line.contains(&format!("action=\"{end}\"")), "{line}");
    assert_eq!(send(&collector, &end, "").await.status(), 303);
    assert_eq!(get(&collector, "/api/v1/alerts/maintenance").await["total"], 0);
    let again = send(&collector, &end, "").await;
    assert_eq!(again.status(), 409);
    assert!(again.text().await.unwrap().contains("is over already"));
    assert_eq!(send(&collector, "/alerts/maintenance/77/end", "").await.status(), 404);
    let audit = get(&collector, "/api/v1/audit").await;
    let changes: Vec<_> = audit["items"].as_array().unwrap().iter().take(2).map(|one| &one["what"]).collect();
    assert_eq!(changes, ["alert maintenance end", "alert maintenance add"], "{audit}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_maintenance_is_said_as_the_api_says_it_and_what_was_typed_stays() {
    let collector = Collector::start().await;
    let refused =
        send(&collector, "/alerts/maintenance", "site=leeds-1&from=&until=2020-01-01&reason=").await;
    assert_eq!(refused.status(), 422);
    let html = refused.text().await.unwrap();
    let body = json!({"scope": {"sites": ["leeds-1"]}, "to": "2020-01-01", "reason": ""});
    let answer =
        collector.operator(Method::POST, "/api/v1/alerts/maintenance").json(&body).send().await.unwrap();
    let problem: Value = answer.json().await.unwrap();
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{problem}");
    for error in errors.iter().filter_map(Value::as_str) {
        assert!(html.contains(&format!("<li>{error}</li>")), "{error} is not in {html}");
    }
    assert!(html.contains("value=\"leeds-1\"") && html.contains("id=\"add-maintenance\" open"), "{html}");
    // Its address is a form's, and nothing is to be asked for there again and again.
    assert!(html.contains("data-every=\"0\""), "{html}");
    for (from, until, said) in [("", "", "a length of time such as 2h"), ("noon", "2h", "from: ")] {
        let form = collector
            .operator(Method::POST, "/alerts/maintenance")
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("from={from}&until={until}&reason=x"));
        let html = form.send().await.unwrap().text().await.unwrap();
        assert!(html.contains(said), "{said} is not in {html}");
    }
    let forged = collector
        .operator(Method::POST, "/alerts/maintenance")
        .header("origin", "http://evil.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("until=2h&reason=x");
    assert_eq!(forged.send().await.unwrap().status(), 403);
    assert_eq!(get(&collector, "/api/v1/alerts/maintenance").await["total"], 0);
    collector.stop().await;
}
