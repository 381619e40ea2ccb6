//! The agent's integration tests, one binary.

mod collector;
mod enrolment;
mod pipeline;
mod probe;
mod process;
mod push;
