//! The API as its document describes it, tried by schemathesis, which others wrote: thousands of requests that the document allows, or
//! forbids, and no answer that it does not describe.

use crate::{python::interpreter, seeded::seeded_collector_with};
use std::process::{Command, Stdio};

const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// What answers are held against. Data that the document allows may break rules that it cannot say, and is refused with 422 then, or
/// contradict what is there (409).
const CONFIG: &str = r#"
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_differs_from_the_document() {
    let python = match interpreter("schemathesis", SCHEMATHESIS) {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: no schemathesis: {why}");
            return;
        }
    };
    // It is told of wrong tokens on purpose.
    let collector = seeded_collector_with(|config| config.limits.attempts_per_minute = 1_000_000).await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("schemathesis.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(python);
    command
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(&config)
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", collector.operators))
        .args(["--header", &format!("Authorization: Bearer {}", collector.operator_token())])
        // Agents have a listener of their own, and sign what they ask.
        .args(["--exclude-tag", "agents"])
        // They would take its own token away: one revokes it, one makes another of the same name in its place.
        .args(["--exclude-operation-id", "operators_revoke", "--exclude-operation-id", "operators_create"])
        .args(["--seed", "1", "--max-examples", "20", "--phases", "examples,coverage,fuzzing"])
        .args(["--warnings", "off"])
        .current_dir(directory.path())
        .stdin(Stdio::null());
    let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    // It has tried what there is.
    assert!(said.contains("No issues found"), "{said}");
    collector.stop().await;
}
