//! axum's extractors with rejections that are problems like every other answer.

use super::error::ApiError;
use axum::extract::{
    FromRequest, FromRequestParts, Request,
    rejection::{BytesRejection, FormRejection, JsonRejection, PathRejection, QueryRejection},
};
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use peerlight_proto::problem::ProblemType;
use serde::de::DeserializeOwned;

/// JSON in a request.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self(axum::Json::from_request(request, state).await?.0))
    }
}

/// A form in a request's body.
#[derive(Debug, Clone, Copy)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self(axum::Form::from_request(request, state).await?.0))
    }
}

/// A CSV file in a request's body.
#[derive(Debug, Clone)]
pub struct Csv(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Csv {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !essence.trim().eq_ignore_ascii_case("text/csv") {
            return Err(ApiError::unsupported_media_type("send `Content-Type: text/csv`"));
        }
        Ok(Self(Bytes::from_request(request, state).await?))
    }
}

/// The query's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(axum::extract::Query::from_request_parts(parts, state).await?.0))
    }
}

/// The path's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(axum::extract::Path::from_request_parts(parts, state).await?.0))
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                Self::unsupported_media_type("send `Content-Type: application/json`")
            }
            JsonRejection::JsonDataError(_) => Self::invalid(rejection.body_text(), Vec::new()),
            JsonRejection::JsonSyntaxError(_) | JsonRejection::BytesRejection(_) | _ => {
                unreadable(rejection.status(), rejection.body_text())
            }
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text(), Vec::new())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::not_found(rejection.body_text())
    }
}

impl From<FormRejection> for ApiError {
    fn from(rejection: FormRejection) -> Self {
        unreadable(rejection.status(), rejection.body_text())
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        unreadable(rejection.status(), rejection.body_text())
    }
}

/// A body that is over the limit, or that breaks off, or that is not what its media type says.
fn unreadable(status: StatusCode, detail: String) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::agent(ProblemType::TooLarge, detail)
    } else {
        ApiError::bad_request(detail)
    }
}
