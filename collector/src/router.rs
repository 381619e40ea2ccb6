//! The whole API on one page: what each listener serves, and what stands before it.

use crate::{
    api::{
        agents, alerts, assignment, audit, batches, enrolments,
        error::{ApiError, ProblemName},
        health, imports, keys, locations, metrics, openapi, operators, provider_links, providers,
        reattributions, registrations, reports, retirement, sessions, sign_in, status, storage, target_sets,
        targets, tokens, visit, whoami,
    },
    app::App,
    auth::{agent::require_agent, browser, operator::require_operator},
    client_address::{ClientAddress, Peer},
    dashboard,
    registry::import::MAX_FILE_BYTES,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use peerlight_proto::limits::MAX_SMALL_BODY_BYTES;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long a request may take from its head to its answer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// The agents' listener.
pub fn for_agents(app: &App) -> Router {
    let signed = signed_routes().route_layer(from_fn_with_state(app.clone(), require_agent));
    let (router, _document) = signed.merge(unsigned_routes()).split_for_parts();
    outer(router, app).with_state(app.clone())
}

/// The operators' listener.
pub fn for_operators(app: &App) -> Router {
    let (private, _paths) = operator_routes().split_for_parts();
    let private = private
        .merge(openapi::route(document()))
        .merge(dashboard::pages(app))
        .route_layer(from_fn_with_state(app.clone(), require_operator));
    let public = dashboard::assets()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/sign-in", get(sign_in::page).post(sign_in::create))
        .route("/sign-out", post(sign_in::delete))
        .route(provider_links::OPENED_AT, get(visit::page).post(visit::open));
    #[cfg(feature = "oidc")]
    let public = public.merge(crate::api::oidc::routes());
    let router = private
        .merge(public)
        .layer(DefaultBodyLimit::max(MAX_SMALL_BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), browser::guard));
    outer(router, app).layer(from_fn(dashboard::dress)).with_state(app.clone())
}

/// The API of both listeners, described for machines.
pub fn document() -> utoipa::openapi::OpenApi {
    let router = OpenApiRouter::with_openapi(openapi::Head::openapi())
        .merge(unsigned_routes())
        .merge(signed_routes())
        .merge(operator_routes())
        .routes(routes!(health::readyz));
    openapi::completed(router.into_openapi())
}

/// What anyone may ask of the agents' listener.
fn unsigned_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(health::healthz)).routes(routes!(enrolments::create))
}

/// What enrolled agents may ask.
fn signed_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(batches::create))
        .routes(routes!(assignment::show))
        .routes(routes!(whoami::show))
        .routes(routes!(keys::show, keys::rotate))
        .routes(routes!(retirement::create))
}

/// What operators may ask.
fn operator_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(status::show))
        .routes(routes!(storage::show))
        .routes(routes!(metrics::show))
        .routes(routes!(metrics::agents))
        .routes(routes!(reports::show))
        .routes(routes!(reports::compare::compare))
        .routes(routes!(reports::availability::availability))
        .routes(routes!(reports::time_of_day::time_of_day))
        .routes(routes!(reports::series::series))
        .routes(routes!(reports::prometheus::prometheus))
        .routes(routes!(reports::azure_reachability::azure_reachability))
        .routes(routes!(reports::edges::edges))
        .routes(routes!(reports::edges::physics))
        .routes(routes!(reports::yardsticks::yardsticks))
        .routes(routes!(dashboard::letter::letter))
        .merge(alert_routes())
        .merge(registry_routes())
}

/// Alerts, and what operators say to them.
fn alert_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::rules::show, alerts::rules::set))
        .routes(routes!(alerts::maintenance::list, alerts::maintenance::add))
        .routes(routes!(alerts::maintenance::end))
        .routes(routes!(alerts::replay_rules))
        .routes(routes!(alerts::show))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::silence))
}

/// The registry, as operators manage it.
fn registry_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(providers::list, providers::add))
        .routes(routes!(providers::end))
        .routes(routes!(provider_links::list, provider_links::create))
        .routes(routes!(provider_links::revoke))
        .routes(routes!(locations::list, locations::add))
        .routes(routes!(locations::end))
        .routes(routes!(registrations::list, registrations::add))
        .routes(routes!(registrations::check))
        .merge(imports())
        .routes(routes!(registrations::show, registrations::end))
        .routes(routes!(reattributions::list, reattributions::add))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show, agents::revoke))
        .routes(routes!(agents::create_token))
        .routes(routes!(agents::retire))
        .routes(routes!(agents::tag))
        .routes(routes!(targets::list, targets::add))
        .routes(routes!(targets::remove))
        .routes(routes!(target_sets::list))
        .routes(routes!(target_sets::roll_out))
        .routes(routes!(target_sets::roll_back))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(operators::list, operators::create))
        .routes(routes!(operators::revoke))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(audit::list))
}

/// Imports have a file for a body.
fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(imports::create)).layer(DefaultBodyLimit::max(MAX_FILE_BYTES))
}

/// What stands before every request, outermost last.
fn outer(router: Router<App>, app: &App) -> Router<App> {
    router
        .fallback(async || ApiError::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(CatchPanicLayer::custom(|_cause: Box<dyn std::any::Any + Send>| {
            tracing::error!("a handler panicked");
            ApiError::internal().into_response()
        }))
        .layer(from_fn_with_state(app.clone(), attend))
}

/// Puts the client's address beside the request, ends it if it takes too long, so that a caller that dribbles its body holds nothing
/// for long, and counts and logs what became of it. One layer, since each copies all that are below it for each request.
async fn attend(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = match locate(&app, &mut request) {
        Ok(()) => tokio::time::timeout(REQUEST_DEADLINE, next.run(request))
            .await
            .unwrap_or_else(|_elapsed| ApiError::timed_out().into_response()),
        Err(error) => error.into_response(),
    };
    let problem = response.extensions().get::<ProblemName>();
    if let Some(ProblemName(name)) = problem {
        app.metrics.problem(name);
    }
    let status = response.status().as_u16();
    tracing::debug!(%method, path = uri.path(), status, problem = problem.map(|p| p.0), "answered");
    response
}

/// Puts the client's address beside a request.
fn locate(app: &App, request: &mut Request) -> Result<(), ApiError> {
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        tracing::error!("a request came without its peer");
        return Err(ApiError::internal());
    };
    let address = ClientAddress::of(peer, request.headers(), &app.config.agents.trusted_proxies);
    request.extensions_mut().insert(address);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, config::Config, identity::Identity, registry::Registry, store::SqliteStore};
    use axum::body::{Body, Bytes};
    use std::{net::Ipv4Addr, sync::Arc};
    use tower::ServiceExt as _;

    /// What stands before every request, before a handler that panics and one that wants the whole body.
    fn routed(directory: &std::path::Path) -> (App, Router) {
        let identity = Identity::open(directory).unwrap();
        let registry = Registry::open(&crate::paths::registry(directory)).unwrap();
        let store = Arc::new(SqliteStore::open(&crate::paths::store(directory)).unwrap());
        let at = (&identity, "https://localhost:8443".to_owned());
        let app = App::new(Config::default(), registry, store, Clock::system(), at).unwrap();
        let router = Router::new()
            .route("/panic", get(panicking))
            .route("/body", post(async |body: Bytes| body.len().to_string()));
        (app.clone(), outer(router, &app).with_state(app))
    }

    /// Every path of a router, as axum itself lists them, with a number in each variable place.
    fn paths(router: &Router) -> std::collections::BTreeSet<(String, String)> {
        let listed = format!("{router:?}");
        let quoted = listed.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
        // What axum puts in the place of a path that is not there is none.
        let quoted = quoted.filter(|text| !text.contains("__private__axum"));
        let parts = |path: &str| {
            let parts = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
            parts.collect::<Vec<_>>().join("/")
        };
        quoted.map(|path| (path.to_owned(), parts(path))).collect()
    }

    #[tokio::test]
    async fn whoever_holds_a_providers_link_is_let_into_nothing_that_was_not_opened_to_them_by_name() {
        use crate::{
            auth::OPEN_TO_VISITORS,
            registry::{NewProvider, NewProviderLink, Operator, ProviderKind},
        };
        let directory = tempfile::tempdir().unwrap();
        let (app, _router) = routed(directory.path());
        let (by, now) = (Operator::local(), app.clock.now());
        let provider = NewProvider {
            name: "Borealis".to_owned(),
            kind: ProviderKind::Isp,
            countries: Vec::new(),
            aliases: Vec::new(),
            asns: Vec::new(),
            source: None,
        };
        app.registry.add_provider(&provider, &by, now).unwrap();
        let link = NewProviderLink { provider: "Borealis".to_owned(), ..NewProviderLink::default() };
        let (secret, _link) = app.registry.create_provider_link(&link, &by, now).unwrap();
        let router = for_operators(&app);
        let paths = paths(&router);
        let known: Vec<&str> = paths.iter().map(|(template, _)| template.as_str()).collect();
        assert!(known.len() > 70, "{known:?}");
        assert!(OPEN_TO_VISITORS.iter().all(|open| known.contains(open)), "{known:?}");
        // What is anybody's, signed in or not.
        let public = ["/assets/{name}", "/healthz", "/readyz", "/sign-in", "/sign-out", "/shared"];
        let public =
            public.into_iter().chain(["/sign-in/oidc", "/sign-in/oidc/callback"]).collect::<Vec<_>>();
        for (template, path) in &paths {
            if public.contains(&template.as_str()) {
                continue;
            }
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let request = http::Request::builder().method(method).uri(path);
                let request = request
                    .header("host", "localhost")
                    .header("authorization", format!("Bearer {secret}"))
                    .header("content-type", "application/json");
                let mut request = request.body(Body::from("{}")).unwrap();
                request.extensions_mut().insert(Peer::direct(Ipv4Addr::LOCALHOST.into()));
                let status = router.clone().oneshot(request).await.unwrap().status().as_u16();
                match (template.as_str(), method) {
                    (open, "GET") if OPEN_TO_VISITORS.contains(&open) => assert_eq!(status, 200, "{path}"),
                    ("/", "GET") => assert_eq!(status, 303, "it leads to the provider's page"),
                    _ => assert!([403, 405].contains(&status), "{method} {path}: {status}"),
                }
            }
        }
    }

    async fn panicking() {
        panic!("on purpose");
    }

    async fn status(router: &Router, path: &str, body: Body) -> u16 {
        let mut request = http::Request::post(path).body(body).unwrap();
        if path == "/panic" {
            *request.method_mut() = http::Method::GET;
        }
        request.extensions_mut().insert(Peer::direct(Ipv4Addr::LOCALHOST.into()));
        router.clone().oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_for_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let (app, router) = routed(directory.path());
        assert_eq!(status(&router, "/panic", Body::empty()).await, 500);
        assert_eq!(status(&router, "/body", Body::from("abc")).await, 200);
        let counted = app.metrics.render(&crate::vitals::Vitals::default());
        assert!(counted.contains(r#"peerlight_collector_problems_total{type="internal"} 1"#), "{counted}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let (_app, router) = routed(directory.path());
        let dribble = futures::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        assert_eq!(status(&router, "/body", Body::from_stream(dribble)).await, 408);
    }
}
