//! How an agent is, on the wire: texts for people, cut to their bounds rather than refused, since they cost no measurement.

use crate::{
    assignment::{AssignmentState, RefusedAssignment},
    batch::Remarks,
    limits::{MAX_PROBLEMS, MAX_REASON_BYTES, MAX_TEXT_BYTES},
    wire,
};

/// What a batch says of its agent.
pub(super) fn read(health: &wire::Health) -> Remarks {
    let refused = health
        .refused_set
        .map(|set| RefusedAssignment { set, reason: line(&health.refusal, MAX_REASON_BYTES) });
    let problems = health.problems.lines().map(|problem| line(problem, MAX_TEXT_BYTES));
    Remarks {
        noise_p99_us: health.noise_p99_us,
        assignment: health.held_set.map(|held| AssignmentState { held, refused }),
        problems: problems.filter(|problem| !problem.is_empty()).take(MAX_PROBLEMS).collect(),
    }
}

/// Problems as the wire has them, one in each line.
pub(super) fn to_lines(problems: &[String]) -> String {
    let lines = problems.iter().take(MAX_PROBLEMS).map(|problem| line(problem, MAX_TEXT_BYTES));
    lines.collect::<Vec<_>>().join("\n")
}

/// One line of at most `limit` bytes, without control characters.
pub(super) fn line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for character in text.chars().map(|character| if character.is_control() { ' ' } else { character }) {
        if line.len() + character.len_utf8() > limit {
            break;
        }
        line.push(character);
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_whole_characters_and_one_line() {
        assert_eq!(line("a\nb\u{7}c ", 99), "a b c");
        assert_eq!(line("äöü", 5), "äö");
    }

    #[test]
    fn of_too_many_problems_the_first_are_told() {
        let problems: Vec<String> = (0..20).map(|number| format!("{number}\n{}", "x".repeat(999))).collect();
        let health = wire::Health { problems: to_lines(&problems), ..wire::Health::default() };
        let told = read(&health).problems;
        assert_eq!(told.len(), MAX_PROBLEMS);
        assert!(told.iter().all(|problem| problem.len() <= MAX_TEXT_BYTES), "{told:?}");
        assert!(told[7].starts_with("7 x"));
    }
}
