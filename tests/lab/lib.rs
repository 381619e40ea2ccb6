//! The lab: a whole Peerlight on one machine. Agents at sites whose paths are emulated measure echo servers that stand
//! for Microsoft's endpoints, a collector stores what they push, and the truth beside it says how far to believe it.

pub mod answer;
pub mod cli;
pub mod collector;
pub mod course;
pub mod echo;
pub mod eventually;
pub mod fleet;
pub mod lab;
pub mod microsoft;
pub mod network;
pub mod process;
pub mod progress;
pub mod scenario;
pub mod site;
pub mod site_agent;
pub mod truth;
