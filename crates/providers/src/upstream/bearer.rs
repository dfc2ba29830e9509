//! A bearer token: one that stays the same, or one that is granted and renewed.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::token::JwtBearer;
use super::{Fresh, Unusable, header};
use crate::keys::Secret;

/// What an upstream shows in `Authorization: Bearer`.
#[derive(Clone, Debug)]
pub(crate) enum Bearer {
    /// Always the same.
    Fixed(HeaderValue),
    /// What is handed in.
    Granted(JwtBearer),
}

impl Bearer {
    pub(crate) fn fixed(
        provider: &'static str,
        setting: &'static str,
        token: &Secret,
    ) -> Result<Self, Unusable> {
        header(provider, setting, token, |token| format!("Bearer {token}")).map(Self::Fixed)
    }

    pub(crate) fn tokens(&self) -> Option<&JwtBearer> {
        match self {
            Self::Fixed(_) => None,
            Self::Granted(tokens) => Some(tokens),
        }
    }

    pub(crate) fn authorize(&self, headers: &mut HeaderMap, fresh: &Fresh<'_>) -> bool {
        let bearer = match self {
            Self::Fixed(bearer) => Some(bearer),
            Self::Granted(_) => fresh.token.map(super::AccessToken::bearer),
        };
        // Whoever called us must not have its own token passed on.
        headers.remove(AUTHORIZATION);
        bearer.is_some_and(|bearer| headers.insert(AUTHORIZATION, bearer.clone()).is_none())
    }
}
