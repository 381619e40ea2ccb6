//! `cargo lab`: all of Peerlight on one machine.
fn main() {}
