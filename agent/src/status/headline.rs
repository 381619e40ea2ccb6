//! The status in a line, for the service manager: what is measured, whether it is handed over, and what is wrong.

use super::Status;

impl Status {
    /// What the agent is doing, in a line.
    pub fn headline(&self) -> String {
        let refused = self.refused_targets.len();
        let parts = [
            Some(format!("{} targets are measured", self.measuring.entries)),
            Some(self.push.to_string()),
            self.enrolment_problem.as_ref().map(|problem| format!("cannot enrol: {problem}")),
            (self.spool.batches > 0).then(|| format!("{} batches wait", self.spool.batches)),
            (refused > 0).then(|| format!("{refused} targets are refused")),
            self.icmp_problem.as_ref().map(|problem| format!("no ICMP: {problem}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::PushState;

    #[test]
    fn an_agent_that_works_says_so_in_few_words_and_what_is_wrong_follows() {
        let mut status = Status { push: PushState::Idle, ..Status::default() };
        status.measuring.entries = 26;
        assert_eq!(status.headline(), "26 targets are measured; idle: everything is delivered");
        status.push = PushState::Retrying { reason: "no route".to_owned() };
        status.spool.batches = 3;
        status.refused_targets = vec!["a".to_owned()];
        status.icmp_problem = Some("not permitted".to_owned());
        assert_eq!(
            status.headline(),
            "26 targets are measured; retrying: no route; 3 batches wait; 1 targets are refused; no ICMP: not permitted"
        );
    }
}
