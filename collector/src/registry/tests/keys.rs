//! Agents' keys: which are believed, which follow, and how those of older files begin.

use super::*;
use peerlight_proto::keys::Rotation;

const AGENT: AgentId = AgentId::new([1; 16]);

fn enrolled() -> Fixture {
    let fixture = Fixture::new();
    let london = fixture.london();
    fixture.registry.enrol(&request(&fixture.secret(london.id, None), 1, 1), SOURCE, NOW).unwrap();
    fixture
}

fn rotate(fixture: &Fixture, key: u8, next: u8, now: Timestamp) -> Result<Timestamp, RotationError> {
    let rotation = Rotation { agent: AGENT, key: [key; 32], next: [next; 32], nonce: [0; 32] };
    fixture.registry.rotate_key(&rotation, now)
}

/// Which key a request is believed by that the key of all `byte`s signed, and whether that is its first use.
fn signer(fixture: &Fixture, byte: u8) -> Option<(Timestamp, bool)> {
    let agent = fixture.registry.caller(AGENT, NOW).unwrap().unwrap();
    let signer = agent.signer(|key| if *key == [byte; 32] { Ok(()) } else { Err(()) });
    signer.ok().map(|signer| (signer.key.since, signer.first_use))
}

#[test]
fn both_keys_are_believed_until_the_new_one_is_used() {
    let fixture = enrolled();
    assert_eq!((signer(&fixture, 1), signer(&fixture, 2)), (Some((NOW, false)), None));
    assert_eq!(rotate(&fixture, 1, 2, later(5)).unwrap(), later(5));
    assert_eq!((signer(&fixture, 1), signer(&fixture, 2)), (Some((NOW, false)), Some((later(5), true))));
    for _again in 0..2 {
        fixture.registry.use_next_key(AGENT, &[2; 32], later(6)).unwrap();
        assert_eq!((signer(&fixture, 1), signer(&fixture, 2)), (None, Some((later(5), false))));
    }
    assert!(matches!(rotate(&fixture, 1, 3, later(7)), Err(RotationError::Replaced)));
    for known in [1, 2] {
        assert!(matches!(rotate(&fixture, 2, known, later(7)), Err(RotationError::Known)));
    }
}

#[test]
fn the_same_key_follows_once_and_another_takes_its_place() {
    let fixture = enrolled();
    rotate(&fixture, 1, 2, later(1)).unwrap();
    assert_eq!(rotate(&fixture, 1, 2, later(9)).unwrap(), later(1));
    rotate(&fixture, 1, 3, later(10)).unwrap();
    assert_eq!((signer(&fixture, 2), signer(&fixture, 3)), (None, Some((later(10), true))));
    fixture.registry.use_next_key(AGENT, &[2; 32], later(11)).unwrap();
    assert_eq!(signer(&fixture, 1), Some((NOW, false)), "a key that does not follow is not used");
    let rotations = fixture.registry.audit(ORGANISATION, 100).unwrap();
    assert_eq!(rotations.iter().filter(|entry| entry.what == "agent key rotate").count(), 2);
}

#[test]
fn remarks_about_a_token_are_bounded() {
    let fixture = enrolled();
    let used_up = fixture
        .registry
        .tokens(ORGANISATION, &TokenQuery { all: true, ..TokenQuery::default() }, NOW)
        .unwrap()[0]
        .id;
    let path = fixture.directory.path().join("registry.sqlite");
    let london = fixture.registry.registrations(ORGANISATION).iter().next().unwrap().id;
    let secret = fixture.secret(london, None);
    fixture.registry.enrol(&request(&secret, 2, 2), SOURCE, NOW).unwrap();
    rusqlite::Connection::open(path)
        .unwrap()
        .execute("UPDATE enrolment_token SET remarks = 999", [])
        .unwrap();
    for agent in 3..6 {
        fixture.registry.enrol(&request(&secret, agent, agent), SOURCE, NOW).unwrap_err();
    }
    let audit = fixture.registry.audit(ORGANISATION, 100).unwrap();
    let uses = audit.iter().filter(|entry| entry.what == "token use").count();
    assert_eq!(uses, 3, "two enrolments and the last remark; token {used_up} is another");
}

#[test]
fn keys_from_before_keys_had_a_life_begin_theirs_with_the_upgrade() {
    let (_directory, path, older) = older(3);
    let before: i64 = older.query_row("SELECT unixepoch() * 1000000", [], |row| row.get(0)).unwrap();
    drop(older);
    let registry = Registry::open(&path).unwrap();
    let agent = registry.caller(AGENT, NOW).unwrap().unwrap();
    assert!(agent.key_since.as_micros() >= before, "{:?}", agent.key_since);
    assert_eq!((agent.public_key, agent.next_key), ([0; 32], None));
}
