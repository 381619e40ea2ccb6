//! A user namespace: what gives an ordinary user the right to make network namespaces.

use super::namespace::NamespaceError;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid},
};
use std::{fs, io};

/// Moves the whole process into a new user namespace in which it is root. Only a process with one thread can.
pub fn enter() -> Result<(), NamespaceError> {
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(io::Error::from)
        .map_err(NamespaceError::at("make a user namespace (an administrator may have closed them)"))?;
    // Without this the kernel lets nobody but root write gid_map.
    fs::write("/proc/self/setgroups", "deny").map_err(NamespaceError::at("write /proc/self/setgroups"))?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))
        .map_err(NamespaceError::at("write /proc/self/uid_map"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
        .map_err(NamespaceError::at("write /proc/self/gid_map"))
}
