//! `check-config`: the rules, and the files that a configuration names.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

/// How it ended, and what it said.
fn checked(configuration: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerlight-collector"));
    let done = command.arg("check-config").arg("--config").arg(configuration).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_secret_that_others_may_read_or_that_is_not_there_is_told_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (configuration, secret) = (directory.path().join("collector.toml"), directory.path().join("secret"));
    fs::write(&configuration, "").unwrap();
    let (code, said) = checked(&configuration);
    assert_eq!(
        (code, said),
        (Some(0), format!("the configuration is acceptable ({})\n", configuration.display()))
    );
    let text = format!(
        "[[alerts.webhook]]\nname = \"pager\"\nurl = \"https://pager.example.com/\"\nsecret_file = \"{}\"\n",
        secret.display()
    );
    fs::write(&configuration, text).unwrap();
    let (code, said) = checked(&configuration);
    assert_eq!(code, Some(78));
    assert!(
        said.contains(&format!("[alerts] `pager`: secret_file {} is not there", secret.display())),
        "{said}"
    );
    fs::write(&secret, "whsec_AAAA").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = checked(&configuration);
    assert_eq!(code, Some(78));
    assert!(said.contains("(mode 0644)") && said.contains("chmod 600"), "{said}");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let (code, said) = checked(&configuration);
    assert_eq!(code, Some(0));
    assert!(said.contains("this account can read all 1 files that it names"), "{said}");
}
