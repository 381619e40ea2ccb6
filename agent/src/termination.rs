//! The system's word that this process shall end.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::told;
#[cfg(windows)]
pub use windows::told;
