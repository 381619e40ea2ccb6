//! The files that a configuration names: whether they are there, can be read, and, where they hold a secret, by their owner alone.
//!
//! What `check-config` looks at beside the rules. A collector that runs does not insist on the last: an upgrade must not stop it.

use super::Config;
use std::{fs::File, io, path::Path};

/// A file that a configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named<'a> {
    /// By which key.
    key: &'static str,
    /// Of which receiver, if it is one's.
    receiver: Option<&'a str>,
    path: &'a Path,
    is_secret: bool,
}

/// What is wrong with the files, each with what to do, and how many there are.
pub fn check(config: &Config) -> (Vec<String>, usize) {
    let named = named(config);
    (named.iter().filter_map(fault).collect(), named.len())
}

fn named(config: &Config) -> Vec<Named<'_>> {
    let mut named = Vec::new();
    let mut add = |key, receiver, path: Option<_>, is_secret| {
        named.extend(path.map(|path| Named { key, receiver, path, is_secret }));
    };
    if let Some(tls) = &config.operators.tls {
        add("[operators.tls] certificate", None, Some(tls.certificate.as_path()), false);
        add("[operators.tls] key", None, Some(tls.key.as_path()), true);
    }
    if let Some(oidc) = &config.operators.oidc {
        let secret = Some(oidc.client_secret_file.as_path());
        add("[operators.oidc] client_secret_file", None, secret, true);
        add("[operators.oidc] ca_file", None, oidc.ca_file.as_deref(), false);
    }
    for one in &config.alerts.webhook {
        add("secret_file", Some(one.name.as_str()), Some(one.secret_file.as_path()), true);
        add("ca_file", Some(one.name.as_str()), one.ca_file.as_deref(), false);
    }
    for one in &config.alerts.alertmanager {
        add("ca_file", Some(one.name.as_str()), one.ca_file.as_deref(), false);
    }
    for one in &config.alerts.email {
        add("password_file", Some(one.name.as_str()), one.password_file.as_deref(), true);
        add("ca_file", Some(one.name.as_str()), one.ca_file.as_deref(), false);
    }
    named
}

fn fault(named: &Named<'_>) -> Option<String> {
    let what = match fault_of(named.path, named.is_secret) {
        Ok(None) => return None,
        Ok(Some(fault)) => fault,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "is not there".to_owned(),
        Err(error) => format!("cannot be read by this account: {error}"),
    };
    let whose = named.receiver.map_or(String::new(), |name| format!("[alerts] `{name}`: "));
    Some(format!("{whose}{} {} {what}", named.key, named.path.display()))
}

/// What is wrong with a file that can be opened.
fn fault_of(path: &Path, is_secret: bool) -> io::Result<Option<String>> {
    let found = File::open(path)?.metadata()?;
    if !found.is_file() {
        return Ok(Some("is no file".to_owned()));
    }
    Ok(exposure(&found).filter(|_exposed| is_secret).map(|mode| {
        format!(
            "is open to others than its owner (mode {mode:04o}); take that away: chmod 600 {}",
            path.display()
        )
    }))
}

/// The mode of a file that others than its owner may read or change.
#[cfg(unix)]
fn exposure(file: &std::fs::Metadata) -> Option<u32> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o7777;
    Some(mode).filter(|mode| mode & 0o077 != 0)
}

/// Elsewhere the access list of its directory decides.
#[cfg(not(unix))]
const fn exposure(_file: &std::fs::Metadata) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Email, SmtpTls, Tls, Webhook};
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn secrets_are_there_readable_and_their_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = directory.path().join(name);
            fs::write(&path, "secret").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let mut config = Config::default();
        assert_eq!(check(&config), (vec![], 0));
        config.operators.tls =
            Some(Tls { certificate: file("cert.pem", 0o644), key: file("key.pem", 0o600) });
        let hook = |name: &str, secret_file| Webhook {
            name: name.to_owned(),
            url: "https://example.com/".parse().unwrap(),
            secret_file,
            ca_file: None,
        };
        config.alerts.webhook = vec![hook("good", file("good", 0o400))];
        assert_eq!(check(&config), (vec![], 3));
        config.alerts.webhook.extend([
            hook("open", file("open", 0o640)),
            hook("missing", directory.path().join("missing")),
            hook("no-file", directory.path().to_owned()),
        ]);
        config.alerts.email = vec![Email {
            name: "noc".to_owned(),
            server: "mail.example.com".to_owned(),
            port: 587,
            tls: SmtpTls::Starttls,
            username: Some("peerlight".to_owned()),
            password_file: Some(file("password", 0o604)),
            ca_file: Some(directory.path().join("no-ca")),
            from: "a@example.com".to_owned(),
            to: vec!["b@example.com".to_owned()],
        }];
        let (faults, count) = check(&config);
        let said = faults.join("\n").replace(&directory.path().display().to_string(), "/d");
        insta::assert_snapshot!(said, @r"
        [alerts] `open`: secret_file /d/open is open to others than its owner (mode 0640); take that away: chmod 600 /d/open
        [alerts] `missing`: secret_file /d/missing is not there
        [alerts] `no-file`: secret_file /d is no file
        [alerts] `noc`: password_file /d/password is open to others than its owner (mode 0604); take that away: chmod 600 /d/password
        [alerts] `noc`: ca_file /d/no-ca is not there
        ");
        assert_eq!(count, 8);
    }
}
