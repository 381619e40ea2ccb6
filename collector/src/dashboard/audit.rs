//! The audit: who changed what, when, and from what to what.

use super::{
    frame::{Frame, View, answer as page},
    list::{Cell, List, Lists, times, words},
};
use crate::{
    api::error::ApiError,
    app::App,
    registry::{AuditEntry, Operator},
    rfc3339,
};
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

/// How many changes are shown unless told otherwise, and at most.
const LIMITS: [u32; 3] = [100, 1_000, 10_000];

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    limit: Option<u32>,
    #[serde(default)]
    format: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let [usual, .., most] = LIMITS;
    let limit = asked.limit.unwrap_or(usual).clamp(1, most);
    let organisation = operator.organisation;
    let changes = app.ask(move |registry, _now| registry.audit(organisation, limit)).await?;
    let list = List {
        id: "audit",
        title: "Changes",
        note: "the latest first".to_owned(),
        csv: format!("{}?limit={limit}&format=csv", View::Audit.path()),
        empty: "Nothing has been changed yet.".to_owned(),
        columns: vec![times("when"), words("who"), words("what"), words("of what"), words("change")],
        rows: changes.iter().map(row).collect(),
    };
    if asked.format == "csv" {
        return list.download();
    }
    let choice =
        |most: u32| (format!("latest {most}"), format!("{}?limit={most}", View::Audit.path()), most == limit);
    page(
        StatusCode::OK,
        &Lists {
            frame: Frame::new(View::Audit, "Audit".to_owned(), &operator, &[]),
            title: "Audit",
            summary: format!("{} changes", changes.len()),
            choices: LIMITS.map(choice).into(),
            tables: vec![list],
            next: None,
        },
    )
}

fn row(change: &AuditEntry) -> Vec<Cell> {
    let (text, details) = changed(change.before.as_ref(), change.after.as_ref());
    vec![
        Cell::of(rfc3339::seconds(change.at)),
        Cell::of(&change.who),
        Cell::of(&change.what),
        Cell::of(&change.object),
        Cell { details, ..Cell::of(text) },
    ]
}

/// What a change was, in short and by field.
fn changed(before: Option<&Value>, after: Option<&Value>) -> (String, String) {
    let lines = |value: &Value| {
        let fields =
            value.as_object().map(|fields| fields.iter().map(|(name, value)| format!("{name}: {value}")));
        fields.map_or_else(|| vec![value.to_string()], Iterator::collect)
    };
    match (before, after) {
        (None, None) => (String::new(), String::new()),
        (None, Some(new)) => ("new".to_owned(), lines(new).join("\n")),
        (Some(old), None) => ("gone".to_owned(), lines(old).join("\n")),
        (Some(old), Some(new)) => {
            let differ = differences(old, new);
            let names: Vec<_> = differ.iter().map(|(name, _)| name.as_str()).collect();
            let told: Vec<_> = differ.iter().map(|(name, told)| format!("{name}: {told}")).collect();
            (names.join(", "), told.join("\n"))
        }
    }
}

/// The fields that differ, with both values.
fn differences(old: &Value, new: &Value) -> Vec<(String, String)> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return vec![("value".to_owned(), format!("{old} → {new}"))];
    };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let none = Value::Null;
    names
        .into_iter()
        .filter_map(|name| {
            let (was, is) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
            (was != is).then(|| (name.clone(), format!("{was} → {is}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_is_told_by_the_fields_that_differ() {
        let (old, new) = (
            json!({"site": "london-1", "valid_to": null}),
            json!({"site": "london-1", "valid_to": "2026-02-01"}),
        );
        assert_eq!(
            changed(Some(&old), Some(&new)),
            ("valid_to".to_owned(), "valid_to: null → \"2026-02-01\"".to_owned())
        );
        assert_eq!(changed(None, Some(&old)).0, "new");
        assert_eq!(changed(Some(&json!({"a": 1})), None), ("gone".to_owned(), "a: 1".to_owned()));
    }
}
