//! `/api/v1/reports/azure-reachability` and `report azure-reachability`: Azure's shape, as Microsoft's own library for Python reads it.

use crate::{
    collector::{Collector, problem},
    forms::print,
    python::{interpreter, said},
    seeded::seeded_collector,
};
use peerlight_collector::report::{Report, azure_reachability::AzureReachabilityReport};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/reports/azure-reachability";
const AZURE: &str = "azure-mgmt-network==33.1.0";
const SCRIPT: &str = include_str!("azure_reachability/read.py");

async fn report(collector: &Collector) -> Value {
    let path = format!("{PATH}?location=GB-LND&last=24h");
    let answer = collector.operator(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_the_api_say_the_medians_of_the_report_of_latency() {
    let collector = seeded_collector().await;
    let told: AzureReachabilityReport = serde_json::from_value(report(&collector).await).unwrap();
    let path = "/api/v1/reports/latency?last=24h&location=GB-LND&by=provider,target&metric=tcp.connect";
    let latency: Report = collector.operator(Method::GET, path).send().await.unwrap().json().await.unwrap();
    assert_eq!((told.reachability_report.len(), latency.rows.len()), (4, 4));
    for row in &latency.rows {
        let item = told.reachability_report.iter().find(|item| {
            Some(&item.provider) == row.group.provider.as_ref()
                && Some(&item.azure_location) == row.group.target.as_ref()
        });
        let [day] = item.unwrap().latencies.as_slice() else { panic!("{item:?}") };
        assert_eq!(
            (day.median_ms, day.probes),
            (row.latency_incl_loss_ms.p50, row.answered + row.lost),
            "all of it was measured on one day"
        );
    }
    let scores: Vec<_> = told.reachability_report.iter().map(|item| item.latencies[0].score).collect();
    assert!(scores.contains(&100) && scores.iter().any(|score| *score < 80), "{scores:?}");
    let printed = print(&collector, "azure-reachability", "--location GB-LND --last 24h").await;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), serde_json::to_value(&told).unwrap());
    for wrong in ["", "?location=GB-LND&location=FR-IDF", "?location=GB-LND&step=1h", "?location=US-WA"] {
        let answer = collector.operator(Method::GET, &format!("{PATH}{wrong}")).send().await.unwrap();
        assert_eq!(problem(answer).await, (422, "invalid".into()), "{wrong}");
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_own_library_reads_it() {
    let python = match interpreter("azure-mgmt-network", AZURE) {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: no azure-mgmt-network: {why}");
            return;
        }
    };
    let collector = seeded_collector().await;
    let told = report(&collector).await;
    let read: Value = serde_json::from_str(&said(&python, SCRIPT, &told)).unwrap();
    let place = &told["providerLocation"];
    assert_eq!(read["place"], json!([told["aggregationLevel"], place["country"], place["state"]]));
    let items = told["reachabilityReport"].as_array().unwrap().iter().map(|item| {
        let day = &item["latencies"][0];
        json!([item["provider"], item["azureLocation"], day["timeStamp"], day["score"]])
    });
    assert_eq!(read["items"], Value::Array(items.collect()));
    collector.stop().await;
}
