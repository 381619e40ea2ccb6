//! `/api/v1/registrations`.

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, page_limit, place},
};
use crate::{
    app::App,
    organisation::OrganisationId,
    registry::{NewRegistration, Operator, Registration, RegistrationId, Registry, RegistryError},
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
    /// The most entries to answer with; 10,000 unless given, and at most.
    pub limit: Option<usize>,
    /// Answer with what has ended, too.
    #[serde(default)]
    pub all: bool,
    /// Only this site's, without regard to case.
    pub site: Option<String>,
    /// Only the one that this address belongs to now, by its longest prefix.
    #[param(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
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

/// Lists the registrations in the order of their numbers.
#[utoipa::path(get, path = "/api/v1/registrations", tag = "registry", params(RegistrationQuery),
    responses((status = 200, body = List<Registration>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<RegistrationQuery>,
) -> Result<Json<List<Registration>>, ApiError> {
    let after = place(query.cursor.as_deref())?;
    Ok(Json(page(&app.registry, operator.organisation, &query, after, app.clock.now())))
}

/// Shows a registration.
#[utoipa::path(get, path = "/api/v1/registrations/{id}", tag = "registry", params(("id" = i64, Path)),
    responses((status = 200, body = Registration), (status = 404)))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Json<Registration>, ApiError> {
    Ok(Json(app.registry.registration(operator.organisation, RegistrationId(id))?))
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

/// The registrations that the query means, behind `after`.
fn page(
    registry: &Registry,
    organisation: OrganisationId,
    query: &RegistrationQuery,
    after: Option<RegistrationId>,
    now: Timestamp,
) -> List<Registration> {
    let limit = page_limit(query.limit);
    let asked = |entry: &Registration| {
        (query.all || entry.valid_to.is_none_or(|end| now < end))
            && query.site.as_ref().is_none_or(|site| entry.is_site(site))
    };
    // What is found by an index is few; only the list of all comes in pages.
    let found = match (query.address, &query.site) {
        (Some(address), _) => registry.owner(organisation, address, now).into_iter().collect(),
        (None, Some(site)) => registry.registrations_of_site(organisation, site),
        (None, None) => {
            let all = registry.registrations(organisation);
            let total = all.iter().filter(|entry| asked(entry)).count();
            let items = all.after(after).filter(|entry| asked(entry)).take(limit + 1).cloned().collect();
            return List::page(items, limit, total, |last| last.id);
        }
    };
    List::new(found.into_iter().filter(asked).collect(), Some(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{NewLocation, NewProvider, ProviderKind};

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    /// Three registrations of two sites, of which the first has ended.
    fn registry(directory: &std::path::Path) -> Registry {
        let registry = Registry::open(&directory.join("registry.sqlite")).unwrap();
        let local = Operator::local();
        let provider = NewProvider {
            name: "Example Telecom".to_owned(),
            kind: ProviderKind::Isp,
            countries: Vec::new(),
            aliases: Vec::new(),
            asns: Vec::new(),
            source: None,
        };
        registry.add_provider(&provider, &local, NOW).unwrap();
        let location = NewLocation {
            code: "GB-LND".to_owned(),
            name: None,
            time_zone: None,
            latitude: None,
            longitude: None,
        };
        registry.add_location(&location, &local, NOW).unwrap();
        for (site, prefix, from, to) in [
            ("london-1", "192.0.2.0/24", "2026-01-01", Some("2026-02-01")),
            ("London-1", "192.0.2.0/24", "2026-02-01", None),
            ("leeds-1", "198.51.100.0/24", "2026-01-01", None),
        ] {
            let new = NewRegistration {
                site: site.to_owned(),
                provider: "Example Telecom".to_owned(),
                location: "GB-LND".to_owned(),
                prefixes: vec![prefix.to_owned()],
                allow_non_public: true,
                valid_from: Some(from.to_owned()),
                valid_to: to.map(str::to_owned),
                ..NewRegistration::default()
            };
            registry.add_registration(&new, &local, NOW).unwrap();
        }
        registry
    }

    #[test]
    fn a_list_shows_what_is_valid_unless_asked_for_all() {
        let directory = tempfile::tempdir().unwrap();
        let registry = registry(directory.path());
        let list = |query: &RegistrationQuery| page(&registry, OrganisationId::DEFAULT, query, None, NOW);
        let numbers =
            |query: &RegistrationQuery| list(query).items.iter().map(|found| found.id.0).collect::<Vec<_>>();
        let plain = RegistrationQuery::default();
        assert_eq!(numbers(&plain), [2, 3]);
        assert_eq!(numbers(&RegistrationQuery { all: true, ..plain.clone() }), [1, 2, 3]);
        let site = Some("LONDON-1".to_owned());
        assert_eq!(numbers(&RegistrationQuery { site: site.clone(), ..plain.clone() }), [2]);
        assert_eq!(numbers(&RegistrationQuery { site, all: true, ..plain.clone() }), [1, 2]);
        let address = "192.0.2.9".parse().ok();
        assert_eq!(numbers(&RegistrationQuery { address, ..plain.clone() }), [2]);
        let site = Some("leeds-1".to_owned());
        assert!(numbers(&RegistrationQuery { site, address, ..plain.clone() }).is_empty());
        let elsewhere = "8.8.8.8".parse().ok();
        assert!(numbers(&RegistrationQuery { address: elsewhere, ..plain }).is_empty());
    }

    #[test]
    fn a_long_list_comes_in_pages_that_say_how_many_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let registry = registry(directory.path());
        let query = RegistrationQuery { all: true, limit: Some(2), ..RegistrationQuery::default() };
        let first = page(&registry, OrganisationId::DEFAULT, &query, None, NOW);
        assert_eq!((first.items.len(), first.total), (2, 3));
        let after = place(first.next.as_deref()).unwrap();
        let second = page(&registry, OrganisationId::DEFAULT, &query, after, NOW);
        assert_eq!(second.items.iter().map(|found| found.id.0).collect::<Vec<_>>(), [3]);
        assert_eq!((second.total, second.next), (3, None));
    }
}
