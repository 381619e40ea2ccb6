//! HTTP in, answers out: a real collector on ports of its own, real TLS, real signatures.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod agent;
mod collector;
mod dashboard;
mod empty_store;
mod enrolments;
mod operators;
mod registry;
mod reports;
mod requests;
mod seeded_store;
mod silent_store;
