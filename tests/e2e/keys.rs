//! Agents' keys over their whole life: real agents' code and a real collector over real TLS, clocks that are turned by hand,
//! deaths at every step, and a real agent's process that is killed at every message.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod agent_file;
#[path = "keys/deaths.rs"]
mod deaths;
#[path = "keys/kills.rs"]
mod kills;
#[path = "keys/life.rs"]
mod life;
#[path = "keys/scene.rs"]
mod scene;
