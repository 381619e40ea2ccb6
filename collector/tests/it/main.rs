//! HTTP in, answers out: a real collector on ports of its own, real TLS, real signatures.
#![expect(clippy::unwrap_used, reason = "in a test, what cannot go on fails")]

mod agent;
mod batches;
mod collector;
mod enrolments;
mod operators;
mod requests;
