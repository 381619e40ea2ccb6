//! The HTTP API: one file per resource.

pub mod agents;
pub mod assignment;
pub mod audit;
pub mod batches;
pub mod enrolments;
pub mod error;
pub mod extract;
pub mod health;
pub mod imports;
pub mod keys;
pub mod list;
pub mod locations;
pub mod metrics;
pub mod openapi;
pub mod operators;
pub mod providers;
pub mod reattributions;
pub mod registrations;
pub mod reports;
pub mod sign_in;
pub mod status;
pub mod storage;
pub mod targets;
pub mod tokens;
pub mod whoami;
