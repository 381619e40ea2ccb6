//! What `service uninstall --purge` takes away beside the service itself.

use anyhow::Context as _;
use std::{fs, io, path::Path};

/// Removes the state directory, the configuration, and the directory that it stood in unless somebody else has something there.
/// What is gone already is well. A state directory that the configuration has elsewhere is its operator's.
pub(super) fn purge(config: &Path, state: &Path) -> anyhow::Result<()> {
    let home = config.parent().unwrap_or(config);
    let outcomes = [
        (state, fs::remove_dir_all(state)),
        (config, fs::remove_file(config)),
        // What an operator put beside them keeps it.
        (home, fs::remove_dir(home)),
    ];
    for (path, outcome) in outcomes {
        match outcome {
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
            {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_leaves_nothing_of_its_own_and_everything_of_others() {
        let root = tempfile::tempdir().unwrap();
        let (home, state) = (root.path().join("etc"), root.path().join("state"));
        let config = home.join("agent.toml");
        let install = || {
            fs::create_dir_all(state.join("spool")).unwrap();
            fs::create_dir_all(&home).unwrap();
            fs::write(&config, "").unwrap();
        };
        install();
        fs::write(home.join("collector.toml"), "").unwrap();
        purge(&config, &state).unwrap();
        assert!(!state.exists() && !config.exists() && home.join("collector.toml").exists());

        install();
        fs::remove_file(home.join("collector.toml")).unwrap();
        purge(&config, &state).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        purge(&config, &state).unwrap();
    }
}
