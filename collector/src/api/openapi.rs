//! `/api/v1/openapi.json`: the API described for machines.

use axum::{Json, Router, routing::get};
use peerlight_proto::http::PROBLEM_MEDIA_TYPE;
use std::sync::Arc;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        path::Operation,
        schema::{ArrayBuilder, ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

/// The name of what operators send.
const OPERATOR: &str = "operator";
/// The tag of operations that agents sign.
const AGENTS: &str = "agents";
/// What anyone may ask.
const PUBLIC: [&str; 2] = ["/healthz", "/readyz"];

/// The document's head; the routes add their paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Peerlight collector",
        description = "Latency of branch offices to Microsoft per provider. Agents sign their requests (RFC 9421), operators \
                       send a token. Every error is a problem document (RFC 9457)."
    ),
    modifiers(&BearerTokens),
    tags(
        (name = "agents", description = "The agents' listener: requests are signed"),
        (name = "registry", description = "Providers, locations, registrations, agents, targets and tokens"),
        (name = "reports", description = "What was measured"),
        (name = "alerts", description = "What is wrong, who is to blame, and who was told"),
        (name = "operation", description = "The collector itself")
    )
)]
pub struct Head;

struct BearerTokens;

impl Modify for BearerTokens {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An operator token"));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme(OPERATOR, SecurityScheme::Http(scheme.build()));
    }
}

/// The document with what holds of all operations: names of their own, who may ask, and that every error is a problem document.
pub fn completed(mut document: openapi::OpenApi) -> openapi::OpenApi {
    let components = document.components.get_or_insert_with(Default::default);
    components.schemas.insert("Problem".to_owned(), RefOr::T(problem_schema()));
    for (path, item) in &mut document.paths.paths {
        for operation in
            [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
        {
            complete(path, operation);
        }
    }
    document
}

fn complete(path: &str, operation: &mut Operation) {
    let own = operation.operation_id.take().unwrap_or_default();
    operation.operation_id = Some(named(path, &own));
    let is_agents = operation.tags.iter().flatten().any(|tag| tag == AGENTS);
    if !is_agents && !PUBLIC.contains(&path) {
        operation.security = Some(vec![SecurityRequirement::new(OPERATOR, [""; 0])]);
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        // Whoever reads one does not do without.
        body.required = Some(Required::True);
    }
    let responses = &mut operation.responses.responses;
    let any = || RefOr::T(ResponseBuilder::new().description("what is wrong").build());
    responses.entry("default".to_owned()).or_insert_with(any);
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && is_error(status)
        {
            tell_problem(response);
        }
    }
}

fn is_error(status: &str) -> bool {
    status.starts_with(['4', '5']) || status == "default"
}

/// Adds that an answer is a problem document, unless it is said to be something else.
fn tell_problem(response: &mut Response) {
    if response.content.is_empty() {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        response.content.insert(PROBLEM_MEDIA_TYPE.to_owned(), RefOr::T(content));
    }
}

/// A name that no other operation has: what it is about, and what its handler is called.
fn named(path: &str, own: &str) -> String {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
    parts.chain([own]).map(|part| part.replace('-', "_")).collect::<Vec<_>>().join("_")
}

/// [`peerlight_proto::problem::Problem`], which knows nothing of this document.
fn problem_schema() -> Schema {
    let text =
        |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let whole =
        |description: &str| ObjectBuilder::new().schema_type(Type::Integer).description(Some(description));
    ObjectBuilder::new()
        .description(Some("What went wrong (RFC 9457)"))
        .property("type", text("The stable URI of its type"))
        .property("title", text("The type in words"))
        .property("status", whole("The HTTP status"))
        .property("detail", text("What is wrong here, and what to do"))
        .property("class", text("What an agent does next; absent where no agent asks"))
        .property("errors", ArrayBuilder::new().items(text("A check that failed")))
        .property(
            "collector_time_us",
            whole("The collector's clock, in microseconds since 1970, where it matters"),
        )
        .required("type")
        .required("title")
        .required("status")
        .build()
        .into()
}

/// The route that serves `document`.
pub fn route<S: Clone + Send + Sync + 'static>(document: openapi::OpenApi) -> Router<S> {
    let document = Arc::new(document);
    Router::new().route(
        "/api/v1/openapi.json",
        get(move || {
            let document = Arc::clone(&document);
            async move { Json(openapi::OpenApi::clone(&document)) }
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::is_error;
    use crate::router::document;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn every_operation_has_a_name_of_its_own_says_who_may_ask_and_tells_of_problems() {
        let document = serde_json::to_value(document()).unwrap();
        let (mut names, mut count) = (BTreeSet::new(), 0);
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                count += 1;
                names.insert(operation["operationId"].as_str().unwrap());
                let is_agents = operation["tags"] == serde_json::json!(["agents"]);
                let body = &operation["requestBody"];
                assert_eq!(body["required"] == true, *body != Value::Null, "{method} {path}");
                let is_public = matches!(path.as_str(), "/healthz" | "/readyz");
                assert_eq!(operation["security"] == Value::Null, is_agents || is_public, "{method} {path}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(
                        problem == "#/components/schemas/Problem",
                        is_error(status),
                        "{method} {path} {status}"
                    );
                }
            }
        }
        assert_eq!(names.len(), count);
        assert!(names.contains("reports_latency_show") && names.contains("providers_end"), "{names:?}");
    }
}
