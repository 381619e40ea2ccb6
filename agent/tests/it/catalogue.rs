//! `catalogue` and `catalogue update`, as an operator meets them.

use crate::probe::servers::{Https, Reply};
use bytes::Bytes;
use peerlight_agent::{catalogue::published::Published, paths::StateDir};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

const ANSWER: &str = r#"[{"id":1,"serviceArea":"Exchange","urls":["outlook.office365.com"],
    "ips":["13.107.6.152/31","2603:1006::/40"],"tcpPorts":"80,443","category":"Optimize","required":true}]"#;

/// An agent's files.
struct Machine(TempDir);

impl Machine {
    fn new(configuration: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let state = machine.path("state");
        fs::write(machine.path("agent.toml"), format!("state = {state:?}\n{configuration}")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peerlight-agent"));
        command.arg("--config").arg(self.path("agent.toml")).args(arguments).output().unwrap()
    }

    fn published(&self) -> Published {
        Published::clone(&Published::load(&StateDir::new(self.path("state"))))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn as_argument(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_catalogue_is_shown_with_the_ranges_that_serve() {
    let machine = Machine::new("");
    let shown = text(&machine.run(&["catalogue"]).stdout);
    assert!(shown.contains("outlook.office365.com") && shown.contains("as of 2026-08-11"), "{shown}");
    let file = machine.path("endpoints.json");
    fs::write(&file, ANSWER).unwrap();
    let updated = machine.run(&["catalogue", "update", "--file", &as_argument(&file)]);
    assert!(updated.status.success(), "{}", text(&updated.stderr));
    assert!(text(&updated.stdout).starts_with("2 address ranges, as of 20"), "{}", text(&updated.stdout));
    let shown = text(&machine.run(&["catalogue"]).stdout);
    assert!(shown.contains("Microsoft publishes 2 address ranges"), "{shown}");
}

#[test]
fn a_file_that_is_not_the_list_changes_nothing_and_says_why() {
    let machine = Machine::new("");
    let file = machine.path("endpoints.json");
    fs::write(&file, "<html>").unwrap();
    for (path, why) in [(file, "it is not what"), (machine.path("missing"), "cannot read")] {
        let output = machine.run(&["catalogue", "update", "--file", &as_argument(&path)]);
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains(why), "{error}");
        assert_eq!(machine.published(), *Published::built_in());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_service_is_asked_over_https_alone() {
    for (status, body, told) in [
        (200, ANSWER, "2 address ranges"),
        (429, "", "an hour's rest"),
        (302, "", "answered 302"),
        (200, "<html>sign in</html>", "it is not what"),
    ] {
        let headers = vec![("location", "https://portal.example/".to_owned())];
        let server = Https::answering("http/1.1", Reply { status, headers, body: Bytes::from(body) }).await;
        let authority = server.authority.path();
        let machine = Machine::new(&format!("[https]\nca_file = {authority:?}"));
        let url = format!("https://localhost:{}/endpoints/worldwide?ClientRequestId=7", server.port);
        let output = tokio::task::spawn_blocking({
            let url = url.clone();
            move || (machine.run(&["catalogue", "update", "--url", &url]), machine)
        });
        let (output, machine) = output.await.unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(told), "{said}");
        assert_eq!(output.status.success(), body == ANSWER, "{said}");
        assert_eq!(machine.published() == *Published::built_in(), body != ANSWER);
        assert_eq!(server.requested(), 1);
        let plain = machine.run(&["catalogue", "update", "--url", &url.replace("https:", "http:")]);
        assert!(!plain.status.success());
        assert_eq!(server.requested(), 1);
    }
}
