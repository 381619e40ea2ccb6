//! Maintenance windows by forms: who expects trouble where, until when, by the rules of the API. Readers see no forms, and are refused
//! before this, as forms of other origins are (`auth/browser.rs`).

use super::{Filled, render};
use crate::{
    alert::{Maintenance, NewMaintenance, Scope},
    api::{
        error::ApiError,
        extract::{Form, Path},
    },
    app::App,
    dashboard::{frame::View, refusal::Refusal},
    registry::{Operator, RegistryError},
    rfc3339,
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::collections::BTreeSet;

/// A window to add, as it was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MaintenanceForm {
    pub(super) provider: String,
    pub(super) location: String,
    pub(super) site: String,
    pub(super) target: String,
    pub(super) from: String,
    /// An instant, or how long after the first.
    pub(super) until: String,
    pub(super) reason: String,
}

/// A window as the page lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) id: i64,
    pub(super) place: String,
    pub(super) when: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) reason: String,
    pub(super) by: String,
}

impl Window {
    pub(super) fn of(window: &Maintenance, now: Timestamp) -> Self {
        Self {
            id: window.id,
            place: window.scope.to_string(),
            when: if window.from <= now { "now" } else { "to come" },
            from: rfc3339::seconds(window.from),
            to: rfc3339::seconds(window.to),
            reason: window.reason.clone(),
            by: window.created_by.clone(),
        }
    }
}

impl MaintenanceForm {
    /// The window, or why its end cannot be reckoned; the registry says what else is wrong with it.
    fn read(&self, now: Timestamp) -> Result<NewMaintenance, RegistryError> {
        let names = |text: &str| -> BTreeSet<String> { optional(text).into_iter().collect() };
        let from = optional(&self.from);
        let until = self.until.trim();
        let to = match humantime::parse_duration(until) {
            Ok(lasting) => {
                let begin = from.as_deref().map_or(Ok(now), rfc3339::parse);
                let begin = begin.map_err(|error| invalid(vec![format!("from: {error}")]))?;
                rfc3339::text(begin.plus(lasting))
            }
            Err(_an_instant_then) if until.is_empty() => {
                return Err(invalid(vec![
                    "until: write an instant, or a length of time such as 2h".to_owned(),
                ]));
            }
            Err(_an_instant_then) => until.to_owned(),
        };
        Ok(NewMaintenance {
            scope: Scope {
                providers: names(&self.provider),
                locations: names(&self.location),
                sites: names(&self.site),
                targets: names(&self.target),
            },
            from,
            to,
            reason: self.reason.clone(),
        })
    }
}

fn invalid(errors: Vec<String>) -> RegistryError {
    RegistryError::Invalid { what: "maintenance window", errors }
}

fn optional(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Adds a window.
pub(super) async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Form(form): Form<MaintenanceForm>,
) -> Result<Response, ApiError> {
    let (by, asked) = (operator.clone(), form.clone());
    let added = app.blocking(move |registry, now| registry.add_maintenance(asked.read(now)?, &by, now));
    answer(&app, &operator, added.await?, "maintenance", form).await
}

/// Ends a window now.
pub(super) async fn end(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let ended = app.blocking(move |registry, now| registry.end_maintenance(id, &by, now));
    answer(&app, &operator, ended.await?, "maintenance-over", MaintenanceForm::default()).await
}

/// Back to the page, or the page with what was typed and what is wrong with it.
async fn answer(
    app: &App,
    operator: &Operator,
    outcome: Result<Maintenance, RegistryError>,
    done: &str,
    form: MaintenanceForm,
) -> Result<Response, ApiError> {
    let Err(error) = outcome else {
        let there = format!("{}?done={done}#maintenance", View::Alerts.path());
        return Ok(Redirect::to(&there).into_response());
    };
    let refusal = Some(Refusal::of("maintenance", error)?);
    render(app, operator, &[], Filled { form, refusal, said: None }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::alerts::fixture::NOW;

    fn form(from: &str, until: &str) -> MaintenanceForm {
        let (from, until, site) = (from.to_owned(), until.to_owned(), " london-1 ".to_owned());
        MaintenanceForm { site, from, until, ..MaintenanceForm::default() }
    }

    #[test]
    fn an_end_is_an_instant_or_a_length_from_the_beginning() {
        let ends = |from: &str, until: &str| form(from, until).read(NOW).unwrap().to;
        assert_eq!(ends("", "2h"), rfc3339::text(NOW.plus(std::time::Duration::from_hours(2))));
        assert_eq!(ends("2026-12-01T20:00:00Z", "90m"), "2026-12-01T21:30:00Z");
        assert_eq!(ends("", "2026-12-02"), "2026-12-02");
        let new = form("", "2h").read(NOW).unwrap();
        assert_eq!((new.scope.to_string(), new.from), ("site london-1".to_owned(), None));
    }

    #[test]
    fn an_end_that_cannot_be_reckoned_says_why() {
        let told = |from: &str, until: &str| match form(from, until).read(NOW) {
            Err(RegistryError::Invalid { errors, .. }) => errors.join("; "),
            other => panic!("{other:?}"),
        };
        assert!(told("tonight", "2h").starts_with("from: "));
        assert!(told("", " ").contains("such as 2h"));
    }
}
