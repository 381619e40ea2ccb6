//! `alert rules list|export|apply`.

use super::{RulesCommand, span};
use crate::{
    alert::{Percentile, Rule, RuleKind, faults},
    cli::{Format, Output, output::listed},
    client::Client,
    registry::{AlertRules, NewRules},
    rfc3339,
};
use anyhow::{Context as _, bail};
use serde::Serialize;
use std::path::Path;

const PATH: &str = "/api/v1/alerts/rules";

pub(super) async fn run(
    command: RulesCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        RulesCommand::List(options) => {
            let rules: AlertRules = client.get(PATH, &[]).await?;
            if options.format == Format::Json { output.json(&rules) } else { table(&rules, output) }
        }
        RulesCommand::Export => {
            let rules: AlertRules = client.get(PATH, &[]).await?;
            let text = toml::to_string(&File { rule: &rules.rules }).context("cannot write TOML")?;
            output.line(text.trim_end())
        }
        RulesCommand::Apply { file, options } => {
            let after: AlertRules = client.put(PATH, &read(&file)?).await?;
            let sentence = format!("set {} of {} alert rules is in force", after.number, after.rules.len());
            output.changed(options.format, &after, &sentence)
        }
    }
}

/// A file of rules.
#[derive(Serialize)]
struct File<'a> {
    rule: &'a [Rule],
}

/// Reads a file of rules, and says everything that is wrong with them.
pub(super) fn read(path: &Path) -> anyhow::Result<NewRules> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let new: NewRules =
        toml::from_str(&text).with_context(|| format!("{} holds no rules", path.display()))?;
    let wrong = faults(&new.rules);
    if !wrong.is_empty() {
        bail!("{} cannot be used:\n  - {}", path.display(), wrong.join("\n  - "));
    }
    Ok(new)
}

fn table(rules: &AlertRules, output: &mut Output<'_>) -> anyhow::Result<()> {
    let rows = rules.rules.iter().map(|rule| {
        [
            rule.name.clone(),
            what(rule),
            threshold(rule, rule.threshold),
            threshold(rule, rule.clear),
            rule.min_samples.to_string(),
            span(rule.window),
            span(rule.lasting),
            rule.severity.to_string(),
            rule.scope.to_string(),
        ]
    });
    let header = ["rule", "of", "bad from", "good from", "samples", "window", "for", "severity", "where"];
    output.table(&header, rows, "there are no rules; nobody is told of anything")?;
    output.note(&match (&rules.created_by, rules.created) {
        (Some(by), Some(at)) => format!("set {} by {by}, {}", rules.number, rfc3339::seconds(at)),
        _ => {
            "these rules hold until an operator sets others: `alert rules export`, edit, `alert rules apply`"
                .to_owned()
        }
    })
}

fn what(rule: &Rule) -> String {
    let metrics: Vec<String> = rule.metrics.iter().map(ToString::to_string).collect();
    let percentile = rule.percentile.map(Percentile::name);
    format!("{} of {}", percentile.unwrap_or(rule.kind.name()), listed(&metrics))
}

fn threshold(rule: &Rule, value: f64) -> String {
    match rule.kind {
        RuleKind::Silence => "-".to_owned(),
        RuleKind::Percentile => format!("{value} ms"),
        RuleKind::Loss
        | RuleKind::Coverage
        | RuleKind::OffPrefix
        | RuleKind::Issuer
        | RuleKind::EdgeShift => {
            let sign = if rule.kind.is_bad_below() { "below " } else { "" };
            format!("{sign}{} %", (value * 1e4).round() / 1e2)
        }
    }
}
