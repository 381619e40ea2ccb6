//! Targets: what agents are told to measure, and what they have measured.

use super::{
    about::ago,
    frame::{Frame, View, answer as page},
    ground::Ground,
    list::{Cell, List, Lists, numbers, times, words},
};
use crate::{
    api::error::ApiError,
    app::App,
    registry::{Operator, TargetEntry, TargetSetEntry, TargetSetState},
    rfc3339,
    store::Presences,
};
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use http::StatusCode;
use peerlight_proto::{duration, id::AgentId, metric::Metric, time::Timestamp};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    format: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let organisation = operator.organisation;
    let (assigned, sets) = app
        .ask(move |registry, _now| Ok((registry.targets(organisation)?, registry.target_sets(organisation)?)))
        .await?;
    let ground = Ground::lay(&app, &operator).await.map_err(|trouble| {
        ApiError::not_ready(trouble.errors.into_iter().chain([trouble.title.to_owned()]).collect())
    })?;
    let lists = [measured(&ground.presence, now), assigned_list(&assigned), sets_list(&sets)];
    if let Some(list) = lists.iter().find(|list| list.csv.ends_with(&format!("format={}", asked.format))) {
        return list.download();
    }
    page(
        StatusCode::OK,
        &Lists {
            frame: Frame::new(View::Targets, "Targets".to_owned(), &operator, &[]),
            title: "Targets",
            summary: format!("{} measured, {} assigned", lists[0].rows.len(), lists[1].rows.len()),
            choices: Vec::new(),
            tables: lists
                .into_iter()
                .filter(|list| list.id != "target-sets" || !list.rows.is_empty())
                .collect(),
            next: None,
        },
    )
}

/// What is known of a target from those who measured it.
#[derive(Default)]
struct Measured<'a> {
    metrics: BTreeSet<Metric>,
    agents: BTreeSet<AgentId>,
    names: BTreeSet<&'a str>,
    service: &'a str,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

fn measured(presence: &Presences, now: Timestamp) -> List {
    let mut targets: BTreeMap<(String, String), Measured<'_>> = BTreeMap::new();
    for seen in presence.iter().filter(|seen| seen.shape.metric != Metric::AgentNoise) {
        let target = &seen.shape.target;
        let known = targets.entry((target.address.to_string(), target.probe.to_string())).or_default();
        if !matches!(seen.shape.metric, Metric::Jitter(_)) {
            known.metrics.insert(seen.shape.metric);
        }
        known.agents.insert(seen.agent);
        known.names.insert(&target.name);
        known.service = &target.service;
        known.first = known.first.into_iter().chain([seen.first]).min();
        known.last = known.last.into_iter().chain([seen.last]).max();
    }
    let row = |((address, probe), known): (&(String, String), &Measured<'_>)| {
        let name = known.names.first().copied().unwrap_or_default();
        let metrics: Vec<_> = known.metrics.iter().map(ToString::to_string).collect();
        let metric = metrics.first().map_or("", String::as_str);
        vec![
            Cell::of(name)
                .beside(known.service)
                .to(View::Latency.path(), &[("target", name), ("metric", metric), ("by", "provider,target")]),
            Cell::of(address),
            Cell::of(probe),
            Cell::of(metrics.join(", ")),
            Cell::of(known.agents.len().to_string()),
            Cell::or_none(known.last.map(|at| ago(at, now)))
                .beside(known.last.map(rfc3339::seconds).unwrap_or_default()),
            Cell::or_none(known.first.map(rfc3339::seconds)),
        ]
    };
    List {
        id: "measured",
        title: "Measured",
        note: "what agents have measured, whether they were told to or chose it themselves".to_owned(),
        csv: format!("{}?format=measured", View::Targets.path()),
        empty: "No agent has measured anything yet.".to_owned(),
        columns: vec![
            words("target"),
            words("address"),
            words("probe"),
            words("metrics"),
            numbers("agents"),
            times("last measured"),
            times("since"),
        ],
        rows: targets.iter().map(row).collect(),
    }
}

fn assigned_list(targets: &[TargetEntry]) -> List {
    let row = |target: &TargetEntry| {
        let only = [("provider", &target.provider), ("location", &target.location), ("tag", &target.tag)];
        let only: Vec<_> =
            only.into_iter().filter_map(|(what, name)| Some(format!("{what} {}", name.as_ref()?))).collect();
        let every = target.interval_ms.map(|ms| duration::text(Duration::from_millis(ms.into())));
        vec![
            Cell::of(&target.name).beside(&target.service),
            Cell::of(target.address.to_string()),
            Cell::of(target.probe.to_string()),
            Cell::of(every.unwrap_or_else(|| "the agent's own".to_owned())),
            Cell::of(if only.is_empty() { "all".to_owned() } else { only.join(", ") }),
            Cell::of(rfc3339::seconds(target.created)),
        ]
    };
    List {
        id: "assigned",
        title: "Assigned",
        note: "the target set in force; peerlight-collector target add and target roll-out change it"
            .to_owned(),
        csv: format!("{}?format=assigned", View::Targets.path()),
        empty: "No target is assigned: agents measure their own catalogue.".to_owned(),
        columns: vec![
            words("target"),
            words("address"),
            words("probe"),
            words("every"),
            words("agents of"),
            times("added"),
        ],
        rows: targets.iter().map(row).collect(),
    }
}

fn sets_list(sets: &[TargetSetEntry]) -> List {
    let row = |set: &TargetSetEntry| {
        let state = match (set.state, set.share_permille) {
            (TargetSetState::InForce, _) => "in force".to_owned(),
            (TargetSetState::Staged, Some(share)) => format!("staged for {share} of 1,000 agents"),
            (TargetSetState::Staged, None) => "staged".to_owned(),
            (TargetSetState::Past, _) => "past".to_owned(),
        };
        vec![
            Cell::of(set.number.to_string()),
            Cell::of(state),
            Cell::of(set.targets.to_string()),
            Cell::of(set.held_by.to_string()),
            Cell { warn: set.refused_by > 0, ..Cell::of(set.refused_by.to_string()) },
            Cell::of(rfc3339::seconds(set.created)).beside(&set.created_by),
        ]
    };
    List {
        id: "target-sets",
        title: "Target sets",
        csv: format!("{}?format=target-sets", View::Targets.path()),
        columns: vec![
            words("number"),
            words("state"),
            numbers("targets"),
            numbers("agents that measure by it"),
            numbers("that refuse it"),
            times("made"),
        ],
        rows: sets.iter().map(row).collect(),
        ..List::default()
    }
}
