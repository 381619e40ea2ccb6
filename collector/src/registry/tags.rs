//! Tags: words by which operators call agents, so that targets can be assigned to them. Pure.

use std::collections::BTreeSet;

/// The most tags of an agent.
const MAX_TAGS: usize = 16;
/// The longest tag, in bytes.
const MAX_TAG_BYTES: usize = 64;

/// Checks a tag and trims it; what is wrong goes to `errors`.
pub(super) fn check(tag: &str, errors: &mut Vec<String>) -> String {
    let tag = tag.trim();
    let permitted = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "-_.".contains(character)
    };
    if tag.is_empty() || tag.len() > MAX_TAG_BYTES || !tag.chars().all(permitted) {
        errors.push(format!(
            "`{}` is not a tag: write at most {MAX_TAG_BYTES} of a-z, 0-9, hyphen, underscore and full stop",
            tag.chars().filter(|character| !character.is_control()).take(80).collect::<String>()
        ));
    }
    tag.to_owned()
}

/// Checks a list of tags.
pub(super) fn check_all(tags: &[String], errors: &mut Vec<String>) -> Vec<String> {
    let all: BTreeSet<String> = tags.iter().map(|tag| check(tag, errors)).collect();
    bound(&all, errors);
    all.into_iter().collect()
}

/// `present` with `add` and without `remove`.
pub(super) fn changed(
    present: &[String],
    add: &[String],
    remove: &[String],
    errors: &mut Vec<String>,
) -> Vec<String> {
    let mut tags: BTreeSet<String> = present.iter().cloned().collect();
    for tag in remove {
        if !tags.remove(tag.trim()) {
            errors.push(format!("it has no tag `{tag}` to remove"));
        }
    }
    tags.extend(add.iter().map(|tag| check(tag, errors)));
    bound(&tags, errors);
    tags.into_iter().collect()
}

fn bound(tags: &BTreeSet<String>, errors: &mut Vec<String>) {
    if tags.len() > MAX_TAGS {
        errors.push(format!("{} tags: an agent has at most {MAX_TAGS}", tags.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|&tag| tag.to_owned()).collect()
    }

    #[test]
    fn tags_are_words_and_each_stands_once() {
        let mut errors = Vec::new();
        assert_eq!(check_all(&owned(&["till", " branch.2 ", "till"]), &mut errors), ["branch.2", "till"]);
        assert_eq!(changed(&owned(&["a", "b"]), &owned(&["c"]), &owned(&["a"]), &mut errors), ["b", "c"]);
        assert_eq!(errors, [""; 0]);
    }

    #[test]
    fn what_is_wrong_with_tags_is_said_all_at_once() {
        let mut errors = Vec::new();
        changed(&owned(&["a"]), &owned(&["Ä", "two words"]), &owned(&["x"]), &mut errors);
        let many: Vec<String> = (0..17).map(|number| format!("t{number}")).collect();
        check_all(&many, &mut errors);
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert_eq!(errors[0], "it has no tag `x` to remove");
        assert_eq!(errors[3], "17 tags: an agent has at most 16");
    }
}
