//! Reports as their readers ask for them: over HTTP in each form, and by the command line.

use crate::{collector::Collector, command::WIDE};
use reqwest::Method;

/// What the API answers in the form that `accept` names.
pub(crate) async fn text(collector: &Collector, report: &str, query: &str, accept: &str) -> String {
    let path = format!("/api/v1/reports/{report}?{query}");
    let answer = collector.operator(Method::GET, &path).header("accept", accept).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(accept));
    answer.text().await.unwrap()
}

/// What `report …` prints, 160 columns wide.
pub(crate) async fn print(collector: &Collector, report: &str, arguments: &str) -> String {
    let words = ["report", report].into_iter().chain(arguments.split(' '));
    collector.command(words, WIDE).await.unwrap().text()
}
