//! Connected apps: who may ask for tokens, for whom.

use std::collections::HashMap;
use std::sync::Arc;

use super::assertion::AssertionKey;
use super::{Account, NAME};
use crate::AccountId;
use crate::account::Patterns;
use crate::keys::Claimed;

/// Who may ask for an account's tokens. By default nobody may.
#[derive(Clone, Debug)]
pub enum ConnectedApps {
    /// These apps.
    Only(Vec<ConnectedApp>),
    /// Anybody, with whatever assertion that can be read: its signature, audience and times are not looked at. For
    /// machines that nobody else reaches.
    AnyAssertion,
}

/// An app that may ask for tokens.
#[derive(Clone, Debug)]
pub struct ConnectedApp {
    /// Its consumer key: what it calls itself in its assertions.
    pub issuer: String,
    /// Checks what it signed.
    pub key: Arc<dyn AssertionKey>,
    /// The users in whose name it may ask.
    pub subjects: Patterns,
    /// The authorization contexts that its tokens are good for; `None` for all that the account has.
    pub contexts: Option<Vec<String>>,
}

impl Default for ConnectedApps {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

/// All accounts' apps, by what they call themselves.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    apps: HashMap<String, (AccountId, ConnectedApp)>,
    /// Whose tokens everybody else gets.
    of_anybody: Option<AccountId>,
}

impl Issuers {
    /// The apps of these accounts.
    ///
    /// # Errors
    /// [`Claimed`] where an assertion could be for two accounts.
    pub(super) fn of(accounts: &[Account]) -> Result<Self, Claimed> {
        let mut issuers = Self::default();
        for (id, account) in accounts.iter().enumerate().map(|(place, account)| (AccountId(place), account)) {
            match &account.connected_apps {
                ConnectedApps::Only(apps) => {
                    for app in apps {
                        issuers.add(id, app)?;
                    }
                }
                ConnectedApps::AnyAssertion => {
                    if issuers.of_anybody.replace(id).is_some() {
                        return Err(Claimed {
                            door: NAME,
                            account: id.0,
                            what: "right to any Salesforce assertion",
                            by: None,
                        });
                    }
                }
            }
        }
        Ok(issuers)
    }

    fn add(&mut self, id: AccountId, app: &ConnectedApp) -> Result<(), Claimed> {
        match self.apps.insert(app.issuer.clone(), (id, app.clone())) {
            None => Ok(()),
            Some(_) => Err(Claimed {
                door: NAME,
                account: id.0,
                what: "Salesforce connected app",
                by: Some(app.issuer.clone()),
            }),
        }
    }

    /// The app that an issuer must prove to be, and the account for whose tokens it asks.
    pub(super) fn app(&self, issuer: &str) -> Option<(AccountId, &ConnectedApp)> {
        self.apps.get(issuer).map(|(id, app)| (*id, app))
    }

    /// The account whose tokens everybody gets who is no known app.
    pub(super) fn of_anybody(&self) -> Option<AccountId> {
        self.of_anybody
    }
}
