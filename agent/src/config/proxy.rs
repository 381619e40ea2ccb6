//! `[proxy]`: checked, and described.

use super::{check::Problems, raw};
use crate::proxy::{Bypass, HttpsPaths, Login, Proxy, ProxyChoice, ProxySettings, SystemProxies, authority};
use serde::Serialize;

/// From what stands in the file to settings. The environment and the password's file are read when the agent starts.
pub(super) fn check(raw: &raw::Proxy, problems: &mut Problems) -> ProxySettings {
    let login = check_login(raw, problems);
    let choice = match (raw.choice, &raw.url) {
        (raw::ProxyUse::Static, Some(url)) => check_static(url, login, problems),
        (raw::ProxyUse::Static, None) => {
            problems
                .add("proxy.url", "is missing; write for example url = \"http://proxy.example.com:3128\"");
            ProxyChoice::Nothing
        }
        (raw::ProxyUse::Nothing | raw::ProxyUse::Environment | raw::ProxyUse::System, url) => {
            if url.is_some() || login.is_some() {
                problems.add(
                    "proxy",
                    "url, username and password_file serve only together with use = \"static\"",
                );
            }
            match raw.choice {
                raw::ProxyUse::Nothing | raw::ProxyUse::Static => ProxyChoice::Nothing,
                raw::ProxyUse::Environment => ProxyChoice::Environment,
                raw::ProxyUse::System => {
                    if SystemProxies::open().is_none() {
                        problems.add("proxy.use", "cannot be \"system\" here: this system runs no PAC files and knows no proxy settings, as Windows does; write \"environment\" or \"static\"");
                    }
                    ProxyChoice::System
                }
            }
        }
    };
    if raw.choice == raw::ProxyUse::Nothing && raw.probe != HttpsPaths::Direct {
        problems.add("proxy.probe", "there is no proxy to probe through with use = \"none\"");
    }
    for word in &raw.bypass {
        problems.text("proxy.bypass", word, false);
    }
    let bypass = Bypass::new(raw.bypass.iter().map(String::as_str));
    ProxySettings { choice, bypass, probe: raw.probe }
}

fn check_static(url: &str, login: Option<Login>, problems: &mut Problems) -> ProxyChoice {
    let Some(Proxy { host, port, authentication }) = problems.check("proxy.url", url.parse()) else {
        return ProxyChoice::Nothing;
    };
    if authentication.is_some() {
        problems.add(
            "proxy.url",
            "must not hold credentials, which everybody who reads this file would learn; write username = \"…\" and password_file = \"/etc/peerlight/proxy.password\"",
        );
    }
    ProxyChoice::Static { host, port, login }
}

fn check_login(raw: &raw::Proxy, problems: &mut Problems) -> Option<Login> {
    match (&raw.username, &raw.password_file) {
        (Some(username), Some(password_file)) => {
            problems.text("proxy.username", username, false);
            if username.contains(':') {
                problems.add("proxy.username", "must not hold a colon, which ends it (RFC 7617)");
            }
            Some(Login { username: username.clone(), password_file: password_file.clone() })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            problems.add("proxy", "username and password_file go together");
            None
        }
    }
}

/// What `check-config --format json` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ProxyDescription {
    r#use: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    bypass: Vec<String>,
    /// By which paths HTTPS targets are probed.
    probe: HttpsPaths,
}

impl ProxyDescription {
    pub(super) fn of(settings: &ProxySettings) -> Self {
        let (choice, address, login) = match &settings.choice {
            ProxyChoice::Nothing => ("none", None, None),
            ProxyChoice::Environment => ("environment", None, None),
            ProxyChoice::System => ("system", None, None),
            ProxyChoice::Static { host, port, login } => {
                ("static", Some(authority(host, *port)), login.as_ref())
            }
        };
        Self {
            r#use: choice,
            address,
            username: login.map(|login| login.username.clone()),
            bypass: settings.bypass.words().collect(),
            probe: settings.probe,
        }
    }
}

/// What `check-config` says.
pub(super) fn describe(settings: &ProxySettings) -> Vec<String> {
    let way = match &settings.choice {
        ProxyChoice::Nothing => return vec!["Uses no proxy, whatever its environment says.".to_owned()],
        ProxyChoice::Environment => {
            "Reaches the collector through the proxy that its environment names, if it does (HTTPS_PROXY, NO_PROXY)".to_owned()
        }
        ProxyChoice::System => {
            "Reaches the collector through the proxy that the system names for it (PAC, WPAD or its settings), if it does".to_owned()
        }
        ProxyChoice::Static { host, port, login } => {
            let sign_on = login.as_ref().map(|login| format!(" as {}", login.username)).unwrap_or_default();
            format!("Reaches the collector through the proxy {}{sign_on}", authority(host, *port))
        }
    };
    let bypass: Vec<_> = settings.bypass.words().collect();
    let except = if bypass.is_empty() { String::new() } else { format!("; straight: {}", bypass.join(", ")) };
    let probes = match settings.probe {
        HttpsPaths::Direct => None,
        HttpsPaths::Proxy => Some("HTTPS probes go through the proxy, too, where it is not bypassed."),
        HttpsPaths::Both => {
            Some("HTTPS targets are probed straight and, where it is not bypassed, through the proxy.")
        }
    };
    std::iter::once(format!("{way}{except}.")).chain(probes.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Config, describe};

    #[cfg(not(windows))]
    fn problems(keys: &str) -> String {
        Config::parse(&format!("[proxy]\n{keys}")).unwrap_err().to_string()
    }

    // Windows serves `use = "system"`.
    #[cfg(not(windows))]
    #[test]
    fn what_no_proxy_can_be_is_said_and_what_to_write_instead() {
        let said = [
            "use = \"static\"",
            "use = \"static\"\nurl = \"https://proxy.test\"",
            "use = \"static\"\nurl = \"http://proxy.test/proxy.pac\"",
            "use = \"static\"\nurl = \"http://me:hunter2@proxy.test:3128\"",
            "use = \"static\"\nurl = \"http://proxy.test\"\nusername = \"a:b\"\npassword_file = \"/p\"\nbypass = [\"\"]",
            "use = \"static\"\nurl = \"http://proxy.test\"\nusername = \"a\"",
            "url = \"http://proxy.test\"",
            "use = \"none\"\nprobe = \"both\"",
            "use = \"pac\"",
            "use = \"system\"\nurl = \"http://proxy.test\"",
            "pac_url = \"http://wpad.test/wpad.dat\"",
        ]
        .map(problems)
        .join("\n");
        insta::assert_snapshot!(said);
    }

    #[test]
    fn a_proxy_is_described_with_its_name_and_without_secrets() {
        let lines = |keys: &str| {
            let text = describe(&Config::parse(&format!("[proxy]\n{keys}")).unwrap());
            text.lines().filter(|line| line.contains("prox")).collect::<Vec<_>>().join("\n")
        };
        let said = [
            "use = \"none\"",
            "use = \"environment\"\nbypass = [\"*.corp.test\", \"10.0.0.0/8\"]",
            "use = \"static\"\nurl = \"http://[2001:db8::1]:3128\"\nprobe = \"proxy\"",
            "use = \"static\"\nurl = \"proxy.test\"\nusername = \"agent-7\"\npassword_file = \"/p\"\nprobe = \"both\"",
        ]
        .map(lines)
        .join("\n\n");
        insta::assert_snapshot!(said);
    }
}
