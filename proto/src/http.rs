//! Names on the wire: paths, media types and what HTTP signatures cover.

/// Where batches are pushed.
pub const BATCHES_PATH: &str = "/api/v1/batches";
/// Where an agent enrols.
pub const ENROLMENTS_PATH: &str = "/api/v1/enrolments";
/// Where an agent asks how old its key is, and has a new one follow it.
pub const KEYS_PATH: &str = "/api/v1/keys";
/// Where an agent says that it will never ask again.
pub const RETIREMENT_PATH: &str = "/api/v1/retirement";
/// Where an agent fetches its assignment.
pub const ASSIGNMENT_PATH: &str = "/api/v1/assignment";
/// Where an agent asks which public address it is seen from.
pub const WHOAMI_PATH: &str = "/api/v1/whoami";

/// The media type of a batch; its content coding is `zstd`.
pub const BATCH_MEDIA_TYPE: &str = "application/vnd.peerlight.batch+protobuf";
/// The media type of an acknowledgement.
pub const ACK_MEDIA_TYPE: &str = "application/vnd.peerlight.ack+protobuf";
/// The media type of a problem document (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// The `tag` parameter of an agent's signature on a request (RFC 9421, §2.3).
pub const REQUEST_TAG: &str = "peerlight-request";
/// The `tag` parameter of the collector's signature on a response.
pub const RESPONSE_TAG: &str = "peerlight-response";
/// What an agent's signature covers: exactly this, in this order.
pub const REQUEST_COMPONENTS: [&str; 6] =
    ["@method", "@authority", "@path", "@query", "content-type", "content-digest"];
/// What the collector's signature covers: exactly this, in this order. The request's own signature binds the answer to it.
pub const RESPONSE_COMPONENTS: [&str; 4] = ["@status", "content-type", "content-digest", "\"signature\";req"];
