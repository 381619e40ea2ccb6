//! From a domain's error to a problem document (RFC 9457): the only place that knows status codes.

use crate::{
    registry::{EnrolError, RegistryError, RotationError},
    store::StoreError,
};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use peerlight_proto::{
    http::PROBLEM_MEDIA_TYPE,
    problem::{Class, Problem, ProblemType},
    time::Timestamp,
};
use std::time::Duration;

/// What went wrong, in the terms of the API's callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    kind: Kind,
    detail: String,
    errors: Vec<String>,
    retry_after: Option<Duration>,
    collector_time: Option<Timestamp>,
}

/// The kinds of problem: those that agents act upon, and those that operators read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Agent(ProblemType),
    NotFound,
    MethodNotAllowed,
    UnsupportedMediaType,
    BadRequest,
    Invalid,
    Conflict,
    SignInRequired,
    NotAllowed,
    CrossOrigin,
    WrongHost,
    TooManyRequests,
    TimedOut,
    NotReady,
    Internal,
}

/// The name of a response's problem: what the metrics count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemName(pub &'static str);

impl ApiError {
    /// A problem that agents know by its type.
    pub fn agent(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self::of(Kind::Agent(kind), detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::of(Kind::NotFound, detail)
    }

    /// The request is well-formed, but what it asks for breaks rules: every one that it breaks.
    pub fn invalid(detail: impl Into<String>, errors: Vec<String>) -> Self {
        Self { errors, ..Self::of(Kind::Invalid, detail) }
    }

    /// What is there already forbids it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::of(Kind::Conflict, detail)
    }

    /// The request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::of(Kind::BadRequest, detail)
    }

    /// Nobody's token or session.
    pub fn sign_in_required() -> Self {
        Self::of(
            Kind::SignInRequired,
            "send `Authorization: Bearer` with an operator token, or sign in at /sign-in",
        )
    }

    /// The operator may not do this.
    pub fn not_allowed(detail: impl Into<String>) -> Self {
        Self::of(Kind::NotAllowed, detail)
    }

    /// A page of another origin made a browser ask.
    pub fn cross_origin() -> Self {
        Self::of(Kind::CrossOrigin, "the request comes from a page of another origin")
    }

    /// The request's Host names another server.
    pub fn wrong_host(host: &str) -> Self {
        Self::of(
            Kind::WrongHost,
            format!(
                "this listener does not answer for host `{host}`; add it to [operators] hosts if it should"
            ),
        )
    }

    /// The media type or content coding is not one that this resource takes.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::of(Kind::UnsupportedMediaType, detail)
    }

    /// The path exists, the method does not.
    pub fn method_not_allowed() -> Self {
        Self::of(Kind::MethodNotAllowed, "this resource does not take that method")
    }

    /// Too many attempts.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self::of(Kind::TooManyRequests, "too many attempts; wait before the next one")
            .retry_after(retry_after)
    }

    /// The request took too long to arrive or to answer.
    pub fn timed_out() -> Self {
        Self::of(Kind::TimedOut, "the request took too long; send it again")
    }

    /// Something that the collector needs does not answer.
    pub fn not_ready(errors: Vec<String>) -> Self {
        Self { errors, ..Self::of(Kind::NotReady, "the collector is not ready") }
    }

    /// A fault of the collector: details stand in its log, not in the answer.
    pub fn internal() -> Self {
        Self::of(Kind::Internal, "the collector failed; its log says why")
    }

    /// Adds every check that failed.
    #[must_use]
    pub fn with_errors(self, errors: Vec<String>) -> Self {
        Self { errors, ..self }
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// Says what the collector's clock shows.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { collector_time: Some(now), ..self }
    }

    fn of(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after: None, collector_time: None }
    }

    fn problem(&self) -> (StatusCode, Problem) {
        let (status, uri, title) = self.kind.words();
        let problem = Problem {
            kind: uri.to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            class: self.kind.class(),
            errors: self.errors.clone(),
            collector_time_us: self.collector_time.map(Timestamp::as_micros),
        };
        (status, problem)
    }
}

impl Kind {
    const fn class(self) -> Option<Class> {
        if let Self::Agent(kind) = self { Some(kind.class()) } else { None }
    }

    /// Status, stable type and title.
    const fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Agent(kind) => {
                let (status, title) = agent_words(kind);
                (status, kind.uri(), title)
            }
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "urn:peerlight:problem:not-found", "There is no such resource")
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "urn:peerlight:problem:method-not-allowed",
                "The resource does not take this method",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "urn:peerlight:problem:unsupported-media-type",
                "The resource does not take this media type",
            ),
            Self::BadRequest => {
                (StatusCode::BAD_REQUEST, "urn:peerlight:problem:bad-request", "The request cannot be read")
            }
            Self::Invalid => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "urn:peerlight:problem:invalid",
                "The request breaks rules",
            ),
            Self::Conflict => {
                (StatusCode::CONFLICT, "urn:peerlight:problem:conflict", "What is there forbids it")
            }
            Self::SignInRequired => (
                StatusCode::UNAUTHORIZED,
                "urn:peerlight:problem:sign-in-required",
                "Operators sign in first",
            ),
            Self::NotAllowed => {
                (StatusCode::FORBIDDEN, "urn:peerlight:problem:not-allowed", "This operator may not do this")
            }
            Self::CrossOrigin => (
                StatusCode::FORBIDDEN,
                "urn:peerlight:problem:cross-origin",
                "Changes are accepted from this origin only",
            ),
            Self::WrongHost => {
                (StatusCode::MISDIRECTED_REQUEST, "urn:peerlight:problem:wrong-host", "This is not that host")
            }
            Self::TooManyRequests => (
                StatusCode::TOO_MANY_REQUESTS,
                "urn:peerlight:problem:too-many-requests",
                "Too many attempts",
            ),
            Self::TimedOut => {
                (StatusCode::REQUEST_TIMEOUT, "urn:peerlight:problem:timed-out", "The request took too long")
            }
            Self::NotReady => {
                (StatusCode::SERVICE_UNAVAILABLE, "urn:peerlight:problem:not-ready", "Not ready")
            }
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "urn:peerlight:problem:internal", "The collector failed")
            }
        }
    }
}

/// Status and title of what agents meet. No status of class drop is one that a proxy might make up for itself; agents
/// act on the signed type, people and logs see the status.
const fn agent_words(kind: ProblemType) -> (StatusCode, &'static str) {
    match kind {
        ProblemType::Malformed => (StatusCode::BAD_REQUEST, "The body cannot be read"),
        ProblemType::UnsupportedVersion => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The batch has a version of the wire that this collector does not read",
        ),
        ProblemType::WrongAgent => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The batch names another agent than the one that signed")
        }
        ProblemType::NumberReused => (StatusCode::CONFLICT, "The batch's number was used for other bytes"),
        ProblemType::TooOld => (StatusCode::GONE, "Every interval is older than the collector accepts"),
        ProblemType::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        ProblemType::TooMany => (StatusCode::PAYLOAD_TOO_LARGE, "The batch holds too much"),
        ProblemType::ClockSkew => {
            (StatusCode::UNAUTHORIZED, "The signature's time is too far from the collector's")
        }
        ProblemType::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        ProblemType::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The collector cannot store now"),
        ProblemType::Unauthenticated => {
            (StatusCode::UNAUTHORIZED, "No valid signature of an agent that the collector knows")
        }
        ProblemType::Forbidden => (StatusCode::FORBIDDEN, "The agent may not do this"),
        ProblemType::RegistrationEnded => {
            (StatusCode::FORBIDDEN, "No registration of the agent's site covers what it measured")
        }
        ProblemType::TokenRefused => (StatusCode::FORBIDDEN, "The enrolment token is refused"),
        ProblemType::SiteMismatch => (StatusCode::CONFLICT, "The agent's site contradicts the registration"),
        ProblemType::AgentExists => (StatusCode::CONFLICT, "The agent is enrolled with another key"),
        ProblemType::KeyExpired => (StatusCode::FORBIDDEN, "The agent's key has expired"),
        ProblemType::KeyRefused => (StatusCode::CONFLICT, "The new key is not a new one"),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, problem) = self.problem();
        let mut response = (status, axum::Json(&problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.kind == Kind::SignInRequired {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(ProblemName(self.kind.words().1));
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Invalid { what, errors } => {
                Self::invalid(format!("the {what} is not acceptable"), errors)
            }
            RegistryError::Conflict { detail } => Self::conflict(detail),
            RegistryError::NotFound { .. } => Self::not_found(error.to_string()),
            RegistryError::Open { .. }
            | RegistryError::NewerSchema { .. }
            | RegistryError::Database { .. }
            | RegistryError::Damaged { .. } => {
                tracing::error!(%error, "the registry failed");
                Self::internal()
            }
        }
    }
}

impl From<EnrolError> for ApiError {
    fn from(error: EnrolError) -> Self {
        let detail = error.to_string();
        match error {
            EnrolError::MalformedKey => Self::agent(ProblemType::Malformed, detail),
            EnrolError::UnknownToken | EnrolError::TokenRefused { .. } => {
                Self::agent(ProblemType::TokenRefused, detail)
            }
            EnrolError::SiteMismatch { mismatches } => {
                Self::agent(ProblemType::SiteMismatch, "correct the agent's [site] or the registration")
                    .with_errors(mismatches)
            }
            EnrolError::StillHeard { .. } => {
                Self::agent(ProblemType::Unavailable, detail).retry_after(Duration::from_mins(1))
            }
            EnrolError::KeyKnown => Self::agent(ProblemType::KeyRefused, detail),
            EnrolError::KnownAs { .. } | EnrolError::AgentExists { .. } => {
                Self::agent(ProblemType::AgentExists, detail)
            }
            EnrolError::Registry(error) => unavailable("the registry failed", &error),
        }
    }
}

impl From<RotationError> for ApiError {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Replaced => Self::agent(ProblemType::Unauthenticated, error.to_string()),
            RotationError::Known => Self::agent(ProblemType::KeyRefused, error.to_string()),
            RotationError::Registry(error) => unavailable("the registry failed", &error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::internal()
    }
}

/// The answer to an agent when the collector's own disk or database fails: it keeps its batch and comes back.
pub fn unavailable(what: &'static str, error: &impl std::error::Error) -> ApiError {
    tracing::error!(%error, "{what}");
    ApiError::agent(ProblemType::Unavailable, what).retry_after(Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_problem_has_a_status_of_its_class() {
        for kind in ProblemType::ALL {
            let (status, problem) = ApiError::agent(kind, "x").problem();
            assert!(status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
            assert_eq!(problem.class, Some(kind.class()));
            // An agent stops on a bare 401 or 403, so nothing that it should drop or split may look like one.
            if matches!(kind.class(), Class::Drop | Class::Split) {
                assert!(status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_problem_is_the_document_that_the_contract_describes() {
        let error = ApiError::agent(ProblemType::ClockSkew, "set the clock").at(Timestamp::from_secs(5));
        insta::assert_json_snapshot!(error.problem().1, @r#"
        {
          "type": "urn:peerlight:problem:clock-skew",
          "title": "The signature's time is too far from the collector's",
          "status": 401,
          "detail": "set the clock",
          "class": "retry",
          "collector_time_us": 5000000
        }
        "#);
    }
}
