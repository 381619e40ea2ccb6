//! Reports as their readers ask for them: over HTTP in each form, and by the command line.

use crate::collector::Collector;
use peerlight_collector::{
    cli::{Cli, Command, Defaults, Output, execute},
    paths,
};
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
    let words = ["peerlight-collector", "report", report].into_iter().chain(arguments.split(' '));
    let cli = <Cli as clap::Parser>::try_parse_from(words).unwrap();
    let Command::Operate(operation) = cli.command else { panic!("{arguments} asks no collector") };
    let defaults = Defaults {
        url: format!("http://{}", collector.operators).parse().unwrap(),
        token_file: paths::operator_token(&collector.directory),
    };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut output = Output { out: &mut out, notes: &mut notes, width: Some(160) };
    execute(*operation, &cli.connection, &defaults, &mut output).await.unwrap();
    String::from_utf8(out).unwrap()
}
