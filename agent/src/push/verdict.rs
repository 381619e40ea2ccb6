//! What an answer means for the batch that was pushed (rules, §5). Pure.

use crate::exchange::Answer;
use peerlight_proto::{
    ack::Ack,
    codec::decode_ack,
    http::{ACK_MEDIA_TYPE, PROBLEM_MEDIA_TYPE},
    id::{BatchDigest, BatchNumber},
    problem::{Class, Problem, ProblemType},
    time::Timestamp,
};
use std::time::Duration;

/// What to do with the batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The collector has it on disk: it waits no longer.
    Acknowledged(Ack),
    /// The collector's signed word is that it can never be stored: delete and count.
    Drop {
        /// What is wrong with it.
        kind: ProblemType,
        /// The same in words.
        reason: String,
    },
    /// The collector's signed word is to send it in parts.
    Split(String),
    /// Keep it and send it again, no sooner than asked.
    Retry {
        /// Why.
        reason: String,
        /// How long the answer asks to wait.
        after: Option<Duration>,
    },
    /// The clock that signed is off; the collector's showed this.
    ClockSkew(Timestamp),
    /// Keep everything; an operator must act.
    Stop(String),
}

/// Judges `answer` to the push of the batch with this number and digest.
pub fn judge(answer: &Answer, number: BatchNumber, digest: BatchDigest) -> Verdict {
    let retry = |reason: String| Verdict::Retry { reason, after: answer.retry_after() };
    match answer.status {
        200..=299 => judge_success(answer, number, digest).unwrap_or_else(|reason| retry(reason.to_owned())),
        _ if answer.media_type() == PROBLEM_MEDIA_TYPE && answer.signed.is_ok() => judge_problem(answer),
        status @ (401 | 403) => {
            Verdict::Stop(format!("the collector does not accept this agent (status {status})"))
        }
        // An unsigned problem is not the collector's word: a middlebox must not make us delete or change anything.
        status => {
            retry(format!("status {status}, unsigned: a collector that is too busy to sign, or none at all"))
        }
    }
}

fn judge_success(answer: &Answer, number: BatchNumber, digest: BatchDigest) -> Result<Verdict, &'static str> {
    if answer.media_type() != ACK_MEDIA_TYPE {
        return Err("a success that is no acknowledgement: is a captive portal in the way?");
    }
    if answer.signed.is_err() {
        return Err("an acknowledgement that the collector did not sign for this request");
    }
    let ack = decode_ack(&answer.body).map_err(|_malformed| "an acknowledgement that cannot be read")?;
    if (ack.number, ack.digest) != (number, digest) {
        return Err("an acknowledgement of another batch");
    }
    Ok(Verdict::Acknowledged(ack))
}

fn judge_problem(answer: &Answer) -> Verdict {
    let retry = |reason: String| Verdict::Retry { reason, after: answer.retry_after() };
    let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else {
        return retry(format!("status {} with a problem that cannot be read", answer.status));
    };
    let Some(kind) = ProblemType::from_uri(&problem.kind) else {
        return match answer.status {
            401 | 403 => Verdict::Stop(problem.to_string()),
            _ => retry(format!("a problem of an unknown type: {problem}")),
        };
    };
    if kind == ProblemType::ClockSkew
        && let Some(micros) = problem.collector_time_us
    {
        return Verdict::ClockSkew(Timestamp::from_micros(micros));
    }
    match kind.class() {
        Class::Drop => Verdict::Drop { kind, reason: problem.to_string() },
        Class::Split => Verdict::Split(problem.to_string()),
        Class::Retry => retry(problem.to_string()),
        Class::Stop => Verdict::Stop(problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{offset::Window, signature::SignatureError};
    use bytes::Bytes;
    use http::HeaderMap;
    use peerlight_proto::{
        codec::encode_ack,
        id::{AgentId, SessionId},
    };

    const NUMBER: BatchNumber =
        BatchNumber { agent: AgentId::new([1; 16]), session: SessionId::new([2; 16]), sequence: 3 };

    fn answer(status: u16, media_type: &str, body: impl Into<Bytes>, signed: bool) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", format!("{media_type}; charset=utf-8").parse().unwrap());
        headers.insert("retry-after", "7".parse().unwrap());
        Answer {
            status,
            headers,
            body: body.into(),
            signed: if signed { Ok(()) } else { Err(SignatureError::Unsigned) },
            window: Window { asked: Timestamp::default(), answered: Timestamp::default() },
        }
    }

    fn problem(kind: &str, status: u16) -> Bytes {
        let problem = Problem {
            kind: kind.to_owned(),
            title: "no".to_owned(),
            status,
            detail: String::new(),
            class: None,
            errors: vec![],
            collector_time_us: kind.ends_with("clock-skew").then_some(5),
        };
        serde_json::to_vec(&problem).unwrap().into()
    }

    fn name(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Acknowledged(_) => "acknowledged",
            Verdict::Drop { .. } => "drop",
            Verdict::Split(_) => "split",
            Verdict::Retry { after, .. } => {
                assert_eq!(*after, Some(Duration::from_secs(7)), "Retry-After is honoured");
                "retry"
            }
            Verdict::ClockSkew(_) => "clock skew",
            Verdict::Stop(_) => "stop",
        }
    }

    #[test]
    fn only_the_collectors_signed_word_acknowledges_or_deletes() {
        let digest = BatchDigest::of(b"bytes");
        let ack = |number, digest| {
            encode_ack(&Ack {
                number,
                digest,
                collector_time: Timestamp::default(),
                duplicate: false,
                refused: vec![],
                dropped: None,
            })
        };
        let (good, html) = (ack(NUMBER, digest), "<html>Welcome to the hotel</html>");
        let other = ack(BatchNumber { sequence: 4, ..NUMBER }, digest);
        let altered = ack(NUMBER, BatchDigest::of(b"other"));
        let (media, json) = (ACK_MEDIA_TYPE, PROBLEM_MEDIA_TYPE);
        let of = |kind: ProblemType| problem(kind.uri(), 400);
        let table = [
            (answer(200, media, good.clone(), true), "acknowledged"),
            (answer(201, media, good.clone(), true), "acknowledged"),
            (answer(200, media, good.clone(), false), "retry"),
            (answer(200, "text/html", good, true), "retry"),
            (answer(200, "text/html", html, false), "retry"),
            (answer(200, media, other, true), "retry"),
            (answer(200, media, altered, true), "retry"),
            (answer(200, media, "\u{7f}", true), "retry"),
            (answer(302, "text/html", html, false), "retry"),
            (answer(404, "text/html", html, false), "retry"),
            (answer(407, "text/html", html, false), "retry"),
            (answer(413, "text/html", html, false), "retry"),
            (answer(502, "text/html", html, false), "retry"),
            (answer(401, json, of(ProblemType::Unauthenticated), false), "stop"),
            (answer(403, json, of(ProblemType::Forbidden), true), "stop"),
            (answer(400, json, of(ProblemType::Malformed), true), "drop"),
            (answer(400, json, of(ProblemType::Malformed), false), "retry"),
            (answer(410, json, of(ProblemType::TooOld), true), "drop"),
            (answer(409, json, of(ProblemType::NumberReused), true), "drop"),
            (answer(413, json, of(ProblemType::TooLarge), true), "split"),
            (answer(413, json, of(ProblemType::TooMany), true), "split"),
            (answer(413, json, of(ProblemType::TooLarge), false), "retry"),
            (answer(415, json, of(ProblemType::UnsupportedVersion), true), "retry"),
            (answer(429, json, of(ProblemType::RateLimited), true), "retry"),
            (answer(503, json, of(ProblemType::Unavailable), true), "retry"),
            (answer(400, json, of(ProblemType::ClockSkew), true), "clock skew"),
            (answer(401, json, of(ProblemType::ClockSkew), true), "clock skew"),
            (answer(403, "text/html", html, false), "stop"),
            (answer(403, json, problem("urn:peerlight:problem:newer", 403), true), "stop"),
            (answer(400, json, of(ProblemType::ClockSkew), false), "retry"),
            (answer(409, json, of(ProblemType::AgentExists), true), "stop"),
            (answer(418, json, problem("urn:peerlight:problem:newer", 418), true), "retry"),
            (answer(400, json, "{", true), "retry"),
        ];
        for (answer, expected) in table {
            let verdict = judge(&answer, NUMBER, digest);
            assert_eq!(name(&verdict), expected, "{} {:?}: {verdict:?}", answer.status, answer.body);
        }
    }
}
