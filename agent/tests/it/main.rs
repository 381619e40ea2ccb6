//! The agent's integration tests, one binary.

mod probe;
