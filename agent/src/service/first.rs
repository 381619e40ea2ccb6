//! What a service finds when it starts for the first time: a configuration, and a token if the installer had one.

use crate::{
    config::Config,
    credential::Enrolment,
    durable,
    enrol::token,
    paths::{StateDir, default_config},
};
use anyhow::Context as _;
use peerlight_proto::enrolment::EnrolmentToken;
use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};
use url::Url;

/// The configuration that changes nothing.
const SAMPLE: &str = include_str!("../../../packaging/config/agent.toml");
/// The line of it that would say which collector.
const NO_COLLECTOR: &str = "# url   = \"https://collector.example.com:8443\"   # none: the token's";

/// The first configuration, with this collector if one was named.
fn configuration(collector: Option<&Url>) -> String {
    match collector {
        Some(collector) => SAMPLE.replace(NO_COLLECTOR, &format!("url = \"{collector}\"")),
        None => SAMPLE.to_owned(),
    }
}

/// Makes the default configuration if there is none. What it says about one that is there is for the operator to read.
pub(super) fn make_configuration(collector: Option<&Url>) -> anyhow::Result<String> {
    let path = default_config();
    match File::create_new(&path) {
        Ok(mut file) => {
            file.write_all(configuration(collector).as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(format!("The configuration is {}.", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(kept(&path, collector)),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

/// What is said of a configuration that is there.
fn kept(path: &Path, collector: Option<&Url>) -> String {
    let path_text = path.display();
    match (Config::load(path), collector) {
        (Err(error), _) => {
            format!("The configuration {path_text} is kept, but the service cannot start with it: {error}")
        }
        (Ok(config), Some(asked)) if config.collector.url.as_ref() != Some(asked) => format!(
            "The configuration {path_text} is kept; it does not say url = \"{asked}\" in [collector], and --collector changes nothing."
        ),
        (Ok(_), _) => format!("The configuration {path_text} is kept."),
    }
}

/// Which state directory the service will have.
pub(super) fn state_directory() -> StateDir {
    Config::load(&default_config()).unwrap_or_default().state
}

/// The token of this file; read before anything is written, so that a wrong one changes nothing.
pub(super) fn read_token(file: Option<&Path>) -> anyhow::Result<Option<EnrolmentToken>> {
    file.map(|file| token::read(Some(file))).transpose()
}

/// Puts the token where the agent that starts in `state` looks for it.
pub(super) fn hand_over(token: &EnrolmentToken, state: &StateDir) -> anyhow::Result<String> {
    if Enrolment::load(state)?.is_some() {
        return Ok("The agent is enrolled already; the token is not needed.".to_owned());
    }
    durable::replace(&state.token(), token.to_text().as_bytes())
        .with_context(|| format!("cannot write {}", state.token().display()))?;
    Ok("The agent enrols itself when the service starts.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_first_configuration_names_the_collector_and_nothing_else() {
        assert_eq!(Config::parse(&configuration(None)).unwrap(), Config::default());
        let collector: Url = "https://collector.example.net:8443/".parse().unwrap();
        let mut expected = Config::default();
        expected.collector.url = Some(collector.clone());
        assert_eq!(Config::parse(&configuration(Some(&collector))).unwrap(), expected);
    }

    #[test]
    fn a_configuration_that_is_there_is_kept_and_what_is_odd_about_it_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        let asked: Url = "https://collector.example.net:8443/".parse().unwrap();
        fs::write(&path, configuration(Some(&asked))).unwrap();
        assert!(kept(&path, Some(&asked)).ends_with("is kept."));
        assert!(kept(&path, None).ends_with("is kept."));
        fs::write(&path, configuration(None)).unwrap();
        assert!(kept(&path, Some(&asked)).contains("--collector changes nothing"));
        fs::write(&path, "[spol]\n").unwrap();
        assert!(kept(&path, None).contains("cannot start with it") && kept(&path, None).contains("spool"));
    }
}
