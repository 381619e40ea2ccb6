//! Reports as Parquet, read back by pyarrow, which others wrote: each value is that of the CSV, each column of the type that it should be.

use crate::{
    collector::Collector,
    edges,
    forms::text,
    python::{interpreter, said},
    seeded::seeded_collector,
    yardsticks,
};
use reqwest::Method;
use serde_json::json;

const PYARROW: &str = "pyarrow>=15,<30";
const SCRIPT: &str = include_str!("parquet/tables.py");
/// Every report, asked so that there are rows.
const REPORTS: [(&str, &str); 6] = [
    ("latency", "last=2h&by=provider,location,target,family,prefix"),
    ("latency", "last=2h&step=15m"),
    ("compare", "providers=Aurora%20Networks,Borealis"),
    ("availability", "last=3h&by=site,target"),
    ("time-of-day", "last=14d"),
    ("series", "last=2h&step=15m"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_report_is_read_by_pyarrow_as_its_csv_says() {
    let python = match interpreter("pyarrow", PYARROW) {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: no pyarrow: {why}");
            return;
        }
    };
    let (seeded, doors, sites) =
        (seeded_collector().await, edges::collector().await, yardsticks::collector().await);
    let beside: [(&Collector, &str, &str); 3] =
        [(&doors, "edges", "last=2h"), (&doors, "physics", "last=2h"), (&sites, "yardsticks", "last=2h")];
    let reports = REPORTS.into_iter().map(|(report, query)| (&seeded, report, query)).chain(beside);
    let mut asked = Vec::new();
    for (number, (collector, report, query)) in reports.enumerate() {
        let path = format!("/api/v1/reports/{report}?{query}&format=parquet");
        let answer = collector.operator(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/vnd.apache.parquet", "{report}");
        let file = collector.directory.join(format!("report-{number}.parquet"));
        std::fs::write(&file, answer.bytes().await.unwrap()).unwrap();
        let csv = text(collector, report, query, "text/csv").await;
        asked.push(json!({ "name": format!("{report} {query}"), "parquet": file, "csv": csv }));
    }
    insta::assert_snapshot!(said(&python, SCRIPT, &json!(asked)));
    for collector in [seeded, doors, sites] {
        collector.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_writes_the_same_file_and_none_to_a_terminal() {
    let collector = seeded_collector().await;
    let print = async |width| {
        let words = "report latency --last 2h --format parquet".split(' ');
        collector.command(words, width).await.map(|printed| printed.out)
    };
    let path = "/api/v1/reports/latency?last=2h&by=provider&format=parquet";
    let answer = collector.operator(Method::GET, path).send().await.unwrap().bytes().await.unwrap();
    assert!(answer.starts_with(b"PAR1") && print(None).await.unwrap() == answer);
    assert!(print(Some(100)).await.unwrap_err().to_string().contains(">report.parquet"));
    collector.stop().await;
}
