//! The dashboard for Grafana that packages bring: a real collector answers everything that it asks for, and each field that it shows is
//! in the answer.

use crate::{
    alerts::{self, DELAY},
    collector::Collector,
};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

const DASHBOARD: &str = include_str!("../../../packaging/grafana/dashboard.json");
/// What Grafana puts in the place of variables of its own: the last hour, by the clock of these tests.
const SPAN: [(&str, &str); 2] =
    [("${__from:date:iso}", "2026-09-21T12:13:20.000Z"), ("${__to:date:iso}", "2026-09-21T14:13:20.000Z")];

/// Everything that the dashboard asks for: the queries of panels and those of variables.
fn queries(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let of_panels = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let of_variables = variables
        .filter(|variable| variable["type"] == "query")
        .map(|variable| &variable["query"]["infinityQuery"]);
    of_panels.chain(of_variables).collect()
}

/// Variables with their choices, the one that they begin with first; but for the data source.
fn choices(dashboard: &Value) -> Vec<(String, Vec<String>)> {
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter(|variable| variable["type"] != "datasource");
    variables
        .map(|variable| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let named = match variable["type"].as_str().unwrap() {
                "custom" => {
                    let current = text(&variable["current"]["value"]);
                    let all = text(&variable["query"]);
                    let others = all.split(',').filter(|choice| *choice != current).map(ToOwned::to_owned);
                    std::iter::once(current.clone()).chain(others).collect()
                }
                _ => vec![text(&variable["allValue"])],
            };
            (format!("${{{}}}", text(&variable["name"])), named)
        })
        .collect()
}

/// The path that Grafana asks for, with these values of variables.
fn path(query: &Value, values: &[(String, String)]) -> String {
    let put_in = |text: &str| {
        let spans = SPAN.map(|(name, value)| (name.to_owned(), value.to_owned()));
        values.iter().chain(&spans).fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let mut parameters = url::form_urlencoded::Serializer::new(String::new());
    for parameter in query["url_options"]["params"].as_array().unwrap() {
        let value = put_in(parameter["value"].as_str().unwrap());
        assert!(!value.contains('$'), "nobody puts anything in for {value}");
        parameters.append_pair(parameter["key"].as_str().unwrap(), &value);
    }
    format!("{}?{}", query["url"].as_str().unwrap(), parameters.finish())
}

async fn rows(collector: &Collector, query: &Value, values: &[(String, String)]) -> Vec<Value> {
    let path = path(query, values);
    let answer = collector.operator(Method::GET, &path).send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 200, "{path}: {body}");
    body[query["root_selector"].as_str().unwrap()].as_array().unwrap().clone()
}

/// What a selector with dots finds in a row.
fn field<'a>(row: &'a Value, selector: &str) -> &'a Value {
    selector.split('.').fold(row, |value, name| &value[name])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_answers_every_query_of_the_dashboard_with_the_fields_that_it_shows() {
    let collector = Collector::start_with(|config| {
        config.alerts.every = Duration::from_millis(50);
        config.alerts.delay = DELAY;
    })
    .await;
    // Half an hour with an outage, and the alert of it.
    alerts::measured(&collector).await;
    alerts::send(&collector, Method::PUT, "/api/v1/alerts/rules", &alerts::at_once()).await;
    alerts::until_metrics_say(&collector, r#"peerlight_collector_alerts{state="firing"} 1"#).await;

    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let (queries, choices) = (queries(&dashboard), choices(&dashboard));
    let first: Vec<_> =
        choices.iter().map(|(name, named)| (name.clone(), named.first().unwrap().clone())).collect();
    assert_eq!(queries.len(), dashboard["panels"].as_array().unwrap().len() + 2);
    for query in &queries {
        assert_eq!((&query["type"], &query["parser"]), (&"json".into(), &"backend".into()));
        let rows = rows(&collector, query, &first).await;
        assert!(!rows.is_empty(), "{query:#}");
        for column in query["columns"].as_array().unwrap() {
            let selector = column["selector"].as_str().unwrap();
            let of_kind = |value: &Value| match column["type"].as_str().unwrap() {
                "number" => value.is_number(),
                "timestamp" => {
                    value.as_str().is_some_and(|text| peerlight_collector::rfc3339::parse(text).is_ok())
                }
                _ => value.is_string(),
            };
            assert!(
                rows.iter().any(|row| of_kind(field(row, selector))),
                "{selector} of {query:#}: {:#}",
                rows[0]
            );
        }
    }
    // Whatever else people choose is understood.
    for (name, named) in &choices {
        for choice in named.iter().skip(1) {
            let values: Vec<_> = first
                .iter()
                .map(|(other, value)| {
                    (other.clone(), if other == name { choice.clone() } else { value.clone() })
                })
                .collect();
            for query in &queries {
                rows(&collector, query, &values).await;
            }
        }
    }
    collector.stop().await;
}
