//! What the nodes know of credentials, for all of them: which were proven, which were refused, and who tries one.

use std::time::Duration;

use compact_str::CompactString;
use typingd_core::Time;
use typingd_core::store::StoreError;
use typingd_core::store::remote::Audience;

use crate::fleet::Fleet;
use crate::node::{Answer, text};
use crate::offset::Shift;
use crate::server::{CREDENTIAL, FIRST, bytes, number};

/// For how long a proof is remembered that nobody renews.
const PROOF: Duration = Duration::from_secs(3_600);

/// How many credentials are remembered: those that end first are forgotten for others.
const CREDENTIALS: usize = 1_024;

/// What is known of each credential, by the name that the nodes gave it.
pub type Credentials = Vec<(CompactString, Credential)>;

/// What is known of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// It was taken.
    Proven,
    /// It was refused, and need not be tried before this moment.
    Refused {
        /// When it may be tried again.
        until: Time,
    },
}

impl<A: Audience + 'static> Fleet<A> {
    /// Tells all nodes what is known of a credential, or that nothing is. A proof is forgotten after an hour.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]
    pub async fn note_credential(&self, name: &str, known: Option<Credential>) -> Result<(), StoreError> {
        let (known, remains) = match known {
            None => ("", Duration::ZERO),
            Some(Credential::Proven) => ("p", PROOF),
            Some(Credential::Refused { until }) => {
                let now = crate::node::time(self.node.now());
                ("r", until.since(now))
            }
        };
        let keys = ["credentials", "version"].map(|what| self.node.keys.fleet(what));
        let args = [text(name), text(known), text(remains.as_millis()), text(CREDENTIALS)];
        let asked = self.node.run_at(&self.node.offset, &CREDENTIAL, &keys, &args);
        self.node.bounded_apart(asked).await.map(drop)
    }

    /// Whether this node is the one that tries a credential of which nothing is known. It is for so long, or longer if
    /// it asks again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]
    pub async fn try_first(&self, name: &str, lasts: Duration) -> Result<bool, StoreError> {
        let keys = [self.node.keys.fleet(&format!("first:{name}"))];
        let args = [text(&self.name), text(lasts.as_millis().max(1))];
        let asked = self.node.run_at(&self.node.offset, &FIRST, &keys, &args);
        let mut answer = self.node.bounded_apart(asked).await?;
        Ok(answer.next().as_ref().and_then(number) == Some(1))
    }
}

/// A letter and the name, and the end, in turn. What cannot be read is not there.
pub(crate) fn read_credentials(answer: &mut Answer, shift: Shift) -> Credentials {
    let mut credentials = Vec::new();
    while let (Some(name), Some(until)) = (answer.next().and_then(bytes), answer.next().and_then(bytes)) {
        let until = std::str::from_utf8(&until).ok().and_then(|until| until.parse::<f64>().ok());
        let known = match name.first() {
            Some(b'p') => Some(Credential::Proven),
            // A score is a whole number that a float holds exactly.
            Some(b'r') => {
                until.map(|until| Credential::Refused { until: shift.to_node(until.max(0.0) as u64) })
            }
            _ => None,
        };
        let name = name.get(1..).and_then(|name| CompactString::from_utf8(name).ok());
        credentials.extend(name.zip(known));
    }
    credentials
}
