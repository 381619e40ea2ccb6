//! The registry: forms that add and end providers, locations and registrations and make tokens, by the rules of the API, and
//! what the registered prefixes would cost.
//!
//! A form of another origin never comes so far: the browser's own word on where it comes from is checked before every change
//! (`auth/browser.rs`), and the session's cookie is not sent along. Readers see no forms, and are refused before this.

mod download;
mod forms;
mod links;

use super::{
    frame::{Frame, View, address, answer as page},
    refusal::Refusal,
};
use crate::{
    api::{
        error::ApiError,
        extract::{Form, Path},
    },
    app::App,
    billing::{DOLLARS_PER_UNIT, Units},
    registry::{
        IssuedProviderLink, Location, NewRegistration, NewToken, Operator, Provider, Registration,
        RegistrationId, RegistryError,
    },
    rfc3339,
};
use askama::Template;
use axum::{
    Extension, Router,
    extract::{Query, State},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use forms::{EndForm, LocationForm, ProviderForm, RegistrationForm, TokenForm};
use http::StatusCode;
use links::{LinkForm, LinkRow};
use peerlight_proto::time::Timestamp;
use serde::Deserialize;

/// How many registrations are listed.
const MAX_LISTED: usize = 1_000;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    /// Only sites whose name, provider or location holds this.
    #[serde(default)]
    find: String,
    /// What was just done.
    #[serde(default)]
    done: String,
    /// Which list is wanted as CSV: registrations, providers or locations.
    #[serde(default)]
    csv: String,
}

/// What is filled in, what was wrong with it, and what was made.
#[derive(Debug, Clone, Default)]
struct Filled {
    asked: Asked,
    provider: ProviderForm,
    location: LocationForm,
    registration: RegistrationForm,
    refusal: Option<Refusal>,
    said: Option<&'static str>,
    token: Option<(String, String)>,
    link_form: LinkForm,
    link: Option<IssuedProviderLink>,
}

#[derive(Template)]
#[template(path = "registry.html")]
struct Page {
    frame: Frame,
    filled: Filled,
    providers: Vec<Provider>,
    locations: Vec<Location>,
    registrations: Vec<Row>,
    links: Vec<LinkRow>,
    more: usize,
    total: usize,
    /// Where the registrations that are found are CSV.
    csv: String,
    units: Units,
    dollars: u64,
    rate: u64,
}

/// A registration as the page lists it.
struct Row {
    entry: Registration,
    prefixes: String,
    valid: String,
    cost: String,
    href: String,
}

/// The page and its forms.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/registry", get(show))
        .route("/registry/providers", post(add_provider))
        .route("/registry/providers/{id}/end", post(end_provider))
        .route("/registry/locations", post(add_location))
        .route("/registry/locations/{id}/end", post(end_location))
        .route("/registry/registrations", post(add_registration))
        .route("/registry/registrations/{id}/end", post(end_registration))
        .route("/registry/tokens", post(create_token))
        .route("/registry/links", post(links::create))
        .route("/registry/links/{id}/revoke", post(links::revoke))
}

async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let said = match asked.done.as_str() {
        "provider" => Some("The provider was added."),
        "location" => Some("The location was added."),
        "registration" => Some("The registration was added. Its agent needs a token: make one below."),
        "ended" => Some("It has ended."),
        "revoked" => Some("The link is revoked: whoever came in by it is out."),
        _ => None,
    };
    render(&app, &operator, Filled { asked, said, ..Filled::default() }).await
}

async fn add_provider(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Form(form): Form<ProviderForm>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let added = match form.read() {
        Ok(new) => changed(&app, move |app, now| app.registry.add_provider(&new, &by, now)).await?,
        Err(errors) => Err(RegistryError::Invalid { what: "provider", errors }),
    };
    match added {
        Ok(_) => Ok(done("provider", "providers")),
        Err(error) => {
            refused(&app, &operator, Filled { provider: form, ..Filled::default() }, "providers", error).await
        }
    }
}

async fn add_location(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Form(form): Form<LocationForm>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let added = match form.read() {
        Ok(new) => changed(&app, move |app, now| app.registry.add_location(&new, &by, now)).await?,
        Err(errors) => Err(RegistryError::Invalid { what: "location", errors }),
    };
    match added {
        Ok(_) => Ok(done("location", "locations")),
        Err(error) => {
            refused(&app, &operator, Filled { location: form, ..Filled::default() }, "locations", error).await
        }
    }
}

async fn add_registration(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Form(form): Form<RegistrationForm>,
) -> Result<Response, ApiError> {
    let (new, by): (NewRegistration, _) = (form.read(), operator.clone());
    let only_check = form.action == "check";
    let added = changed(&app, move |app, now| {
        if only_check {
            app.registry.check_registration(&new, &by, now)
        } else {
            app.registry.add_registration(&new, &by, now).map(|_added| ())
        }
    });
    match added.await? {
        Ok(()) if only_check => {
            let said = Some("Every check passes; nothing was added yet.");
            render(&app, &operator, Filled { registration: form, said, ..Filled::default() }).await
        }
        Ok(()) => Ok(done("registration", "registrations")),
        Err(error) => {
            let filled = Filled { registration: form, ..Filled::default() };
            refused(&app, &operator, filled, "registrations", error).await
        }
    }
}

async fn end_provider(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let ended = changed(&app, move |app, now| app.registry.end_provider(id, &by, now).map(|_ended| ()));
    ended_or_refused(&app, &operator, ended.await?, "providers").await
}

async fn end_location(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let ended = changed(&app, move |app, now| app.registry.end_location(id, &by, now).map(|_ended| ()));
    ended_or_refused(&app, &operator, ended.await?, "locations").await
}

async fn end_registration(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<i64>,
    Form(form): Form<EndForm>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let ended = changed(&app, move |app, now| {
        let at = form.read(now)?;
        app.registry.end_registration(RegistrationId(id), at, &by, now).map(|_ended| ())
    });
    ended_or_refused(&app, &operator, ended.await?, "registrations").await
}

/// Makes a token; its text is on this page and nowhere else.
async fn create_token(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Form(form): Form<TokenForm>,
) -> Result<Response, ApiError> {
    let by = operator.clone();
    let new = NewToken { registration: RegistrationId(form.registration), ..NewToken::default() };
    let issued = changed(&app, move |app, now| app.registry.create_token(&new, &app.identity, &by, now));
    match issued.await? {
        Ok(issued) => {
            let token = Some((issued.entry.site, issued.token));
            render(&app, &operator, Filled { token, ..Filled::default() }).await
        }
        Err(error) => refused(&app, &operator, Filled::default(), "registrations", error).await,
    }
}

/// Does something with the registry on a thread that may wait for the disk.
async fn changed<T: Send + 'static>(
    app: &App,
    act: impl FnOnce(&App, Timestamp) -> Result<T, RegistryError> + Send + 'static,
) -> Result<Result<T, RegistryError>, ApiError> {
    let own = app.clone();
    app.blocking(move |_registry, now| act(&own, now)).await
}

fn done(what: &str, place: &str) -> Response {
    Redirect::to(&format!("{}?done={what}#{place}", View::Registry.path())).into_response()
}

async fn ended_or_refused(
    app: &App,
    operator: &Operator,
    ended: Result<(), RegistryError>,
    form: &'static str,
) -> Result<Response, ApiError> {
    match ended {
        Ok(()) => Ok(done("ended", form)),
        Err(error) => refused(app, operator, Filled::default(), form, error).await,
    }
}

/// The page with what was filled in, and what is wrong with it. What is no fault of the operator's is an error.
async fn refused(
    app: &App,
    operator: &Operator,
    filled: Filled,
    form: &'static str,
    error: RegistryError,
) -> Result<Response, ApiError> {
    let refusal = Refusal::of(form, error)?;
    render(app, operator, Filled { refusal: Some(refusal), ..filled }).await
}

async fn render(app: &App, operator: &Operator, filled: Filled) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let organisation = operator.organisation;
    let (mut providers, mut locations, links) = app
        .ask(move |registry, _now| {
            let links = registry.provider_links(organisation)?;
            Ok((registry.providers(organisation)?, registry.locations(organisation)?, links))
        })
        .await?;
    providers.retain(|provider| provider.ended.is_none());
    locations.retain(|location| location.ended.is_none());
    let all = app.registry.registrations(organisation);
    let valid = || all.iter().filter(|entry| entry.valid_to.is_none_or(|end| now < end));
    let units = Units::of_all(valid().flat_map(|entry| &entry.prefixes));
    let found: Vec<_> = valid().filter(|entry| is_found(entry, &filled.asked.find)).collect();
    match filled.asked.csv.as_str() {
        "registrations" => return download::registrations(found).download(),
        "providers" => return download::providers(&providers).download(),
        "locations" => return download::locations(&locations).download(),
        _ => {}
    }
    let status = filled.refusal.as_ref().map_or(StatusCode::OK, |refusal| refusal.status);
    page(
        status,
        &Page {
            frame: Frame::new(View::Registry, "Registry".to_owned(), operator, &[]),
            registrations: found.iter().take(MAX_LISTED).map(|entry| row(entry)).collect(),
            more: found.len().saturating_sub(MAX_LISTED),
            total: valid().count(),
            links: links::rows(links, now),
            csv: address(
                View::Registry.path(),
                &[("csv", "registrations"), ("find", filled.asked.find.trim())],
            ),
            providers,
            locations,
            units,
            dollars: units.dollars(),
            rate: DOLLARS_PER_UNIT,
            filled,
        },
    )
}

fn is_found(entry: &Registration, find: &str) -> bool {
    let find = find.trim().to_lowercase();
    let prefixes = entry.prefixes.iter().map(ToString::to_string);
    find.is_empty()
        || [&entry.site, &entry.provider, &entry.location]
            .into_iter()
            .cloned()
            .chain(prefixes)
            .any(|text| text.to_lowercase().contains(&find))
}

fn row(entry: &Registration) -> Row {
    let prefixes: Vec<_> = entry.prefixes.iter().map(ToString::to_string).collect();
    let day = |at: Timestamp| rfc3339::seconds(at).chars().take(10).collect::<String>();
    let units = Units::of_all(&entry.prefixes);
    let cost = match (units.v4, units.v6) {
        (0, v6) => format!("{v6} × /48, no price"),
        (_, 0) => format!("${}", units.dollars()),
        (_, v6) => format!("${} + {v6} × /48", units.dollars()),
    };
    Row {
        prefixes: prefixes.join(", "),
        valid: match entry.valid_to {
            Some(end) => format!("{} to {}", day(entry.valid_from), day(end)),
            None => format!("since {}", day(entry.valid_from)),
        },
        cost,
        href: address(
            View::Latency.path(),
            &[("site", entry.site.as_str()), ("by", "provider,location,site")],
        ),
        entry: entry.clone(),
    }
}
