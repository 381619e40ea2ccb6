//! The HTTP API: one file per resource.

pub mod assignment;
pub mod enrolments;
pub mod error;
pub mod extract;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod sign_in;
pub mod status;
pub mod whoami;
