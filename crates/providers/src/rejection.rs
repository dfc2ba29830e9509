//! Why a request is refused, before anybody dresses it in a provider's words.

use std::borrow::Cow;
use std::fmt;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Nothing is served on this path.
    UnknownPath,
    /// The path takes another method.
    MethodNotAllowed {
        /// The one it takes.
        allow: &'static str,
    },
    /// A header that every request must carry is missing or makes no sense.
    BadHeader {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The credentials are missing or wrong. Which of them is not said.
    Unauthenticated,
    /// The credentials are right, and were not granted this API.
    OutOfScope,
    /// The caller may not do this.
    Forbidden(Bar),
    /// No account of the tenant has this agent.
    UnknownAgent,
    /// Another account of the tenant has this agent.
    ForeignAgent,
    /// The body is not of the media type that the path takes, or is compressed.
    UnsupportedMediaType,
    /// The body is larger than the door takes.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// There is no body.
    NoBody,
    /// The body, or the request itself, cannot be read.
    Malformed {
        /// What is wrong with it; never a piece of it.
        why: Cow<'static, str>,
    },
    /// The body was read, and fields of it are wrong. Never empty.
    Invalid(Vec<Fault>),
    /// The caller should wait.
    TooMany {
        /// For this many seconds.
        retry_after_s: u32,
    },
    /// The provider behind us refused.
    Upstream {
        /// Its status.
        status: u16,
        /// Its body.
        body: String,
        /// How long it wants to be left alone, in seconds, where it said so.
        retry_after_s: Option<u32>,
    },
    /// The provider behind us did not answer in time.
    UpstreamTimeout,
    /// We cannot serve anybody just now.
    Unavailable,
    /// A failure of our own.
    Internal,
}

/// What stands in the way of a caller that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The authorization context is not one of the credentials'.
    Context,
    /// The authorization context is not one for this agent.
    ContextForAgent,
    /// The credentials lack a permission.
    Permission,
    /// The user has not agreed to be written to, or not by this agent.
    Recipient,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which: its path from the body's root, as in `interactions[0].payload.id`.
    pub field: Cow<'static, str>,
    /// In what way.
    pub kind: FaultKind,
    /// What it should be.
    pub expected: Cow<'static, str>,
}

/// In what way a field is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is not there.
    Missing,
    /// It is of another JSON type.
    WrongType,
    /// It is empty.
    Empty,
    /// It has too many elements or characters.
    TooLong,
    /// It has the right type and a value that cannot be.
    WrongValue,
    /// It contradicts another field.
    Contradiction,
    /// It is there more than once.
    Repeated,
    /// Nothing of this name belongs here.
    Unknown,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.why())
    }
}

impl Fault {
    /// What is wrong, without the field's name; never a piece of its value.
    #[must_use]
    pub fn why(&self) -> String {
        let Self { expected, .. } = self;
        match self.kind {
            FaultKind::Missing => format!("is missing: expected {expected}"),
            FaultKind::WrongType => format!("is of the wrong type: expected {expected}"),
            FaultKind::Empty => format!("is empty: expected {expected}"),
            FaultKind::TooLong => format!("is too long: expected {expected}"),
            FaultKind::WrongValue => format!("is not valid: expected {expected}"),
            FaultKind::Contradiction => format!("contradicts another field: expected {expected}"),
            FaultKind::Repeated => format!("is given more than once: expected {expected}"),
            FaultKind::Unknown => format!("is not known here: expected {expected}"),
        }
    }
}

/// The faults found so far while a body is read.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes one.
    pub fn add(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        kind: FaultKind,
        expected: impl Into<Cow<'static, str>>,
    ) {
        self.0.push(Fault { field: field.into(), kind, expected: expected.into() });
    }

    /// Goes on only where none was found.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] with all of them.
    pub fn none(self) -> Result<(), Rejection> {
        if self.0.is_empty() { Ok(()) } else { Err(Rejection::Invalid(self.0)) }
    }
}

/// A refusal, with the name that the caller gave the request, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub rejection: Rejection,
    /// The caller's name for it.
    pub reference: Option<String>,
}

impl Rejection {
    /// One field is wrong.
    pub fn field(
        field: impl Into<Cow<'static, str>>,
        kind: FaultKind,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Invalid(vec![Fault { field: field.into(), kind, expected: expected.into() }])
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, reference: None }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPath => f.write_str("nothing is served on this path"),
            Self::MethodNotAllowed { allow } => write!(f, "this path takes {allow} only"),
            Self::BadHeader { name, expected } => {
                write!(f, "header {name} is missing or not valid: expected {expected}")
            }
            Self::Unauthenticated => f.write_str("the credentials are missing or wrong"),
            Self::OutOfScope => f.write_str("the credentials were not granted this API"),
            Self::Forbidden(Bar::Context) => {
                f.write_str("the authorization context is not one of the token's")
            }
            Self::Forbidden(Bar::ContextForAgent) => {
                f.write_str("the authorization context is not one for this channel address")
            }
            Self::Forbidden(Bar::Permission) => f.write_str("the credentials lack a permission"),
            Self::Forbidden(Bar::Recipient) => f.write_str("this agent may not write to this user"),
            Self::UnknownAgent => f.write_str("there is no such agent"),
            Self::ForeignAgent => f.write_str("the agent belongs to another account"),
            Self::UnsupportedMediaType => {
                f.write_str("the body is compressed, or not of the media type this path takes")
            }
            Self::TooLarge => f.write_str("the body is too large"),
            Self::TooSlow => f.write_str("the body did not come in time"),
            Self::NoBody => f.write_str("the request has no body"),
            Self::Malformed { why } => f.write_str(why),
            Self::Invalid(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                f.write_str(&faults.join("; "))
            }
            Self::TooMany { retry_after_s } => write!(f, "too many requests: try again in {retry_after_s} s"),
            Self::Upstream { status, .. } => write!(f, "the provider refused with status {status}"),
            Self::UpstreamTimeout => f.write_str("the provider did not answer in time"),
            Self::Unavailable => f.write_str("the service is not available just now: try again"),
            Self::Internal => f.write_str("the service failed"),
        }
    }
}
