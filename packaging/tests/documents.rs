//! The command that writes manual pages and completions, and the shells that read them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, one that cannot run says so by name"
)]

use std::{fs, path::Path, process::Command};

/// What a program says; none, and word of it, where there is no such program.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program} {arguments:?}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            eprintln!("skipped: what {program} makes of the documents: {error}");
            None
        }
    }
}

#[test]
fn one_command_writes_what_shells_and_readers_understand() {
    let directory = tempfile::tempdir().unwrap();
    let written = Command::new(env!("CARGO_BIN_EXE_peerlight-packaging"))
        .arg("documents")
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(written.success());
    for name in ["peerlight-agent", "peerlight-collector"] {
        assert_completes(name, &directory.path().join("bash-completion/completions").join(name));
        for completions in
            [format!("zsh/vendor-completions/_{name}"), format!("fish/vendor_completions.d/{name}.fish")]
        {
            let text = fs::read_to_string(directory.path().join(completions)).unwrap();
            assert!(text.contains("check-config"), "{text}");
        }
        let page = directory.path().join(format!("man/man1/{name}-run.1"));
        let read = said("man", &["--warnings", "--local-file", page.to_str().unwrap()]);
        assert!(read.is_none_or(|text| text.contains("SYNOPSIS")), "{}", page.display());
    }
}

/// That bash completes a command of the program by these completions.
fn assert_completes(name: &str, completions: &Path) {
    let script = format!(
        ". {}; by=$(complete -p {name}); by=${{by##*-F }}; COMP_WORDS=({name} check-co); COMP_CWORD=1
        ${{by%% *}} {name} check-co {name}; echo \"${{COMPREPLY[*]}}\"",
        completions.display()
    );
    let completed = said("bash", &["--norc", "-c", &script]);
    assert!(completed.as_ref().is_none_or(|word| word == "check-config\n"), "{name}: {completed:?}");
}
