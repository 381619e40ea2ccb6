//! The collector as a process, on a disk that is full, fails, is damaged or is another's.

mod full;

use crate::{
    collector::plain_client,
    process::{Process, configure, fails, shell},
};
use peerlight_collector::paths;
use std::{fs, process::Command};

/// Nothing stands between.
fn as_it_is() -> Command {
    shell("true")
}

#[tokio::test]
async fn the_second_collector_on_a_directory_refuses_to_start_and_names_the_first() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("state");
    let configuration = configure(temporary.path(), &directory);
    let first = Process::start(as_it_is(), &configuration, &directory);
    let (status, said) = fails(as_it_is(), &configuration);
    assert_eq!(status.code(), Some(1), "{said}");
    let expected = format!(
        "error: {} belongs to a running collector (process {}); stop that one first\n",
        paths::store(&directory).display(),
        first.id()
    );
    assert_eq!(said, expected);
    let alive = plain_client().get(format!("http://{}/readyz", first.place.operators)).send().await.unwrap();
    assert_eq!(alive.status(), 200, "the first goes on");
    first.kill();
    Process::start(as_it_is(), &configuration, &directory).kill();
}

#[test]
fn a_damaged_database_ends_the_start_with_what_to_do() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("state");
    let configuration = configure(temporary.path(), &directory);
    Process::start(as_it_is(), &configuration, &directory).kill();
    for database in [paths::store, paths::registry] {
        let file = database(&directory);
        let log = file.with_extension("sqlite-wal");
        let (sound, sound_log) = (fs::read(&file).unwrap(), fs::read(&log).ok());
        fs::write(&file, [b"no database".as_slice(), &sound[11..]].concat()).unwrap();
        let _none = fs::remove_file(&log);
        let (status, said) = fails(as_it_is(), &configuration);
        assert_eq!(status.code(), Some(1), "{said}");
        for word in ["file is not a database", "peerlight-collector verify", "peerlight-collector restore"] {
            assert!(said.contains(word), "{said}");
        }
        fs::write(&file, sound).unwrap();
        if let Some(bytes) = sound_log {
            fs::write(&log, bytes).unwrap();
        }
    }
    Process::start(as_it_is(), &configuration, &directory).kill();
}

#[test]
fn a_collector_that_may_not_write_at_all_ends_its_start_with_what_to_do() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("state");
    let configuration = configure(temporary.path(), &directory);
    Process::start(as_it_is(), &configuration, &directory).kill();
    // Beside the database nothing is left that could be used again.
    for extra in ["sqlite-wal", "sqlite-shm"] {
        fs::remove_file(paths::store(&directory).with_extension(extra)).unwrap();
    }
    let (status, said) = fails(shell("ulimit -f 0"), &configuration);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("see the system's log") && said.contains("quota"), "{said}");
}
