//! Why a form was not done as it was filled in: what stands beside it, so that what was typed stays.

use crate::{api::error::ApiError, registry::RegistryError};
use http::StatusCode;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Which form it belongs to.
    pub(super) form: &'static str,
    pub(super) title: String,
    pub(super) errors: Vec<String>,
}

impl Refusal {
    /// Of a form, by the registry's own word. What is no fault of the operator's is an error.
    pub(super) fn of(form: &'static str, error: RegistryError) -> Result<Self, ApiError> {
        let title = error.to_string();
        Ok(match error {
            RegistryError::Invalid { what, errors } => Self {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                form,
                title: format!("The {what} is not acceptable"),
                errors,
            },
            RegistryError::Conflict { detail } => Self {
                status: StatusCode::CONFLICT,
                form,
                title: "What is there forbids it".to_owned(),
                errors: vec![detail],
            },
            RegistryError::NotFound { .. } => {
                Self { status: StatusCode::NOT_FOUND, form, title, errors: Vec::new() }
            }
            other @ (RegistryError::Open { .. }
            | RegistryError::NewerSchema { .. }
            | RegistryError::Database { .. }
            | RegistryError::Damaged { .. }) => return Err(other.into()),
        })
    }
}
