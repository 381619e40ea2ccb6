//! HTTP in, answers out: a real collector on ports of its own, real TLS, real signatures.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod agent;
mod collector;
mod empty_store;
mod enrolments;
mod operators;
mod registry;
mod requests;
mod silent_store;
