//! `/api/v1/registrations`.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::List,
};
use crate::{
    app::App,
    registry::{
        NewRegistration, Operator, Registration, RegistrationId, RegistryError, prefixes::PrefixTable,
    },
    rfc3339,
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Which registrations to list.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RegistrationQuery {
    /// The most entries to answer with.
    pub limit: Option<usize>,
    /// Answer with what has ended, too.
    #[serde(default)]
    pub all: bool,
    /// Only this site's, without regard to case.
    pub site: Option<String>,
    /// Only the one that this address belongs to now, by its longest prefix.
    #[param(value_type = Option<String>)]
    pub address: Option<IpAddr>,
}

/// When a registration is to end.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EndQuery {
    /// The first instant after it, RFC 3339 or a date; now unless given.
    pub at: Option<String>,
}

/// The answer of a check that passed; one that fails is a problem that names everything that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Checked {
    /// Always true.
    pub acceptable: bool,
}

/// Lists the registrations.
#[utoipa::path(get, path = "/api/v1/registrations", tag = "registry", params(RegistrationQuery),
    responses((status = 200, body = List<Registration>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<RegistrationQuery>,
) -> Result<Json<List<Registration>>, ApiError> {
    let limit = query.limit;
    let found = app
        .ask(move |registry, now| {
            let all = registry.registrations(operator.organisation)?;
            Ok::<_, RegistryError>(chosen(all, &query, now))
        })
        .await?;
    Ok(Json(List::new(found, limit)))
}

/// Adds a registration.
#[utoipa::path(post, path = "/api/v1/registrations", tag = "registry", request_body = NewRegistration,
    responses((status = 201, body = Registration), (status = 422, description = "everything that is wrong with it")))]
pub async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewRegistration>,
) -> Result<(StatusCode, Json<Registration>), ApiError> {
    let added = app.ask(move |registry, now| registry.add_registration(&new, &operator, now)).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Makes every check of adding a registration and adds nothing.
#[utoipa::path(post, path = "/api/v1/registrations/check", tag = "registry", request_body = NewRegistration,
    responses((status = 200, body = Checked), (status = 422, description = "everything that is wrong with it")))]
pub async fn check(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewRegistration>,
) -> Result<Json<Checked>, ApiError> {
    app.ask(move |registry, now| registry.check_registration(&new, &operator, now)).await?;
    Ok(Json(Checked { acceptable: true }))
}

/// Ends a registration.
#[utoipa::path(delete, path = "/api/v1/registrations/{id}", tag = "registry", params(("id" = i64, Path), EndQuery),
    responses((status = 200, body = Registration), (status = 404), (status = 409, description = "it has ended already")))]
pub async fn end(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
    Query(query): Query<EndQuery>,
) -> Result<Json<Registration>, ApiError> {
    let ended = app
        .ask(move |registry, now| {
            let at = match &query.at {
                Some(text) => rfc3339::parse(text).map_err(|error| RegistryError::Invalid {
                    what: "end of the registration",
                    errors: vec![error.to_string()],
                })?,
                None => now,
            };
            registry.end_registration(RegistrationId(id), at, &operator, now)
        })
        .await?;
    Ok(Json(ended))
}

/// The registrations that the query means.
fn chosen(mut all: Vec<Registration>, query: &RegistrationQuery, now: Timestamp) -> Vec<Registration> {
    if let Some(address) = query.address {
        let owner = PrefixTable::new(&all).longest_match(address, now);
        all.retain(|registration| owner.is_some_and(|(_, id)| id == registration.id));
    }
    all.retain(|registration| {
        (query.all || registration.valid_to.is_none_or(|end| now < end))
            && query.site.as_ref().is_none_or(|site| registration.is_site(site))
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::organisation::OrganisationId;

    fn registration(id: i64, site: &str, prefix: &str, to: Option<i64>) -> Registration {
        Registration {
            id: RegistrationId(id),
            organisation: OrganisationId::DEFAULT,
            site: site.to_owned(),
            provider: "Example Telecom".to_owned(),
            location: "GB-LND".to_owned(),
            prefixes: vec![prefix.parse().unwrap()],
            count_declared: false,
            valid_from: Timestamp::from_secs(0),
            valid_to: to.map(Timestamp::from_secs),
        }
    }

    #[test]
    fn a_list_shows_what_is_valid_unless_asked_for_all() {
        let all = || {
            vec![
                registration(1, "london-1", "192.0.2.0/24", Some(5)),
                registration(2, "london-1", "192.0.2.0/24", None),
                registration(3, "leeds-1", "198.51.100.0/24", None),
            ]
        };
        let numbers = |query: &RegistrationQuery| {
            chosen(all(), query, Timestamp::from_secs(10)).iter().map(|found| found.id.0).collect::<Vec<_>>()
        };
        let plain = RegistrationQuery::default();
        assert_eq!(numbers(&plain), [2, 3]);
        assert_eq!(numbers(&RegistrationQuery { all: true, ..plain.clone() }), [1, 2, 3]);
        assert_eq!(numbers(&RegistrationQuery { site: Some("London-1".to_owned()), ..plain.clone() }), [2]);
        let address = "192.0.2.9".parse().ok();
        assert_eq!(numbers(&RegistrationQuery { address, ..plain.clone() }), [2]);
        let elsewhere = "8.8.8.8".parse().ok();
        assert!(numbers(&RegistrationQuery { address: elsewhere, ..plain }).is_empty());
    }
}
