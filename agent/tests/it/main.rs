//! The agent's integration tests, one binary.

#[cfg(test)]
mod collector;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod pipeline;
mod probe;
#[cfg(test)]
mod process;
#[cfg(test)]
mod push;
