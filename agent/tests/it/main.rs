//! The agent's integration tests, one binary.

#[cfg(test)]
#[path = "../../../tests/e2e/agent_file.rs"]
mod agent_file;
#[cfg(test)]
mod assignment;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod collector;
#[cfg(test)]
mod decommission;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod interception;
#[cfg(test)]
mod namespace;
#[cfg(test)]
mod network;
#[cfg(test)]
mod observe;
#[cfg(test)]
mod pipeline;
mod probe;
#[cfg(test)]
mod process;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod push;
#[cfg(test)]
mod selftest;
#[cfg(test)]
mod service;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod zero_touch;
