//! Defines why a request has no reply but a problem document (RFC 9457).

use std::fmt;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::escape;

/// The version of the document.
const VERSION: u32 = 1;
/// What the document is, for the header `Content-Type`.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request has no other reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is
    pub kind: ProblemKind,
    /// What is wrong with this request, in words
    pub detail: String,
    /// What is wrong with the file that the request names, problem by problem; none where that is not what is wrong
    pub problems: Vec<FileProblem>,
}

/// The kinds of problems, each of which is a status of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request is not one that can be replied to: its query, or a body
    BadRequest,
    /// This client is refused
    Forbidden,
    /// There is no such document, or no such cluster
    NotFound,
    /// Another method than GET and HEAD
    MethodNotAllowed,
    /// The target is too long
    TooLong,
    /// The head is too long
    HeadTooLong,
    /// The `Host` is another host's
    Misdirected,
    /// The file that the request names is not valid
    Invalid,
    /// The document cannot be made
    Failed,
    /// It takes too long, or there are too many connections
    Unavailable,
}

impl ProblemKind {
    /// The status of the reply.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A problem document, by RFC 9457.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDocument {
    /// The version of the document: 1
    pub version: u32,
    /// The status of HTTP
    pub status: u16,
    /// The words of that status
    pub title: String,
    /// What is wrong with this request
    pub detail: String,
    /// What is wrong with the file that it names, as `lbd validate --output json` has it
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FileProblem>,
}

/// One thing that is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileProblem {
    /// The file
    pub file: String,
    /// Line, from 1
    pub line: usize,
    /// Column in characters, from 1
    pub column: usize,
    /// What is wrong
    pub message: String,
    /// What would be right
    pub expected: Option<String>,
    /// The nearest valid text
    pub suggestion: Option<String>,
}

impl Problem {
    /// A problem with what is wrong.
    pub fn new(kind: ProblemKind, detail: impl fmt::Display) -> Self {
        Self { kind, detail: detail.to_string(), problems: Vec::new() }
    }

    /// The document.
    pub(super) fn text(&self) -> String {
        let status = self.kind.status();
        let document = ProblemDocument {
            version: VERSION,
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            detail: self.detail.clone(),
            problems: self.problems.clone(),
        };
        escape::json_text(&document).unwrap_or_default() + "\n"
    }

    /// A whole reply, after which the connection ends.
    pub(super) fn reply(&self) -> String {
        let (status, text) = (self.kind.status(), self.text());
        format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            text.len()
        )
    }
}
