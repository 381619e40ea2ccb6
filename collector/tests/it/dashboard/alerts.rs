//! The pages of alerts: the API's alerts and nothing else, in every state, and what operators say to them by forms.

use super::open;
use crate::{
    alerts::{maintained, outage},
    collector::Collector,
};
use reqwest::{Method, Response};
use serde_json::Value;

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
    assert!(read(&collector, "/alerts?format=rules").await.lines().count() > 5);
    collector.stop().await;
}
