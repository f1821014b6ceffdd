//! What every room needs and none owns: database, clock, randomness, keys, providers, hashing threads, caches.
//!
//! Values only; a rule lives in the room that it is about.

use std::sync::Arc;

use vestibule_protocol::TokenDigest;
use vestibule_protocol::seal::{SealError, SealKey};

use crate::clock::Clock;
use crate::hooks::Hooks;
use crate::identity::password::Hasher;
use crate::mail::Mailer;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::signing::SigningKeys;
use crate::statistics::Statistics;
use crate::store::Db;
use crate::store::application::Application;
use crate::store::cache::Cache;
use crate::store::token::AccessToken;
use crate::upstream::Upstream;

/// The context of a request; clones share everything.
pub type Ctx = Arc<Context>;

/// See [`Ctx`].
pub struct Context {
    /// The configuration.
    pub settings: Settings,
    /// What time it is.
    pub clock: Clock,
    /// The database.
    pub db: Db,
    /// The keys that seal and derive.
    pub keys: Arc<Keys>,
    /// The providers.
    pub upstream: Upstream,
    /// The threads that hash passwords.
    pub hasher: Hasher,
    /// The way that mails go.
    pub mailer: Mailer,
    /// The operator's own steps.
    pub hooks: Hooks,
    /// What is counted.
    pub metrics: Metrics,
    /// What is counted for the dashboard.
    pub statistics: Statistics,
    /// Access tokens that were looked up lately.
    pub tokens: Cache<TokenDigest, AccessToken>,
    /// Applications that were looked up lately.
    pub applications: Cache<String, Application>,
    /// The signing keys, opened.
    pub signing_keys: Cache<(), SigningKeys>,
}

/// So many random bytes from the operating system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness no token may be made; there is nothing to go on with")]
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// The master keys: the first seals and derives, all open.
#[derive(Debug)]
pub struct Keys {
    current: SealKey,
    former: Vec<SealKey>,
}

impl Keys {
    /// Makes working keys of master keys of 32 random bytes each.
    ///
    /// # Errors
    /// [`SealError`] for no key at all.
    pub fn new(masters: &[[u8; 32]]) -> Result<Self, SealError> {
        let (first, rest) = masters.split_first().ok_or(SealError)?;
        let former = rest.iter().map(SealKey::new).collect::<Result<_, _>>()?;
        Ok(Self { current: SealKey::new(first)?, former })
    }

    /// The names of all keys, the sealing one first.
    pub fn ids(&self) -> Vec<String> {
        std::iter::once(&self.current).chain(&self.former).map(SealKey::id).collect()
    }

    /// Seals for this purpose.
    ///
    /// # Errors
    /// [`SealError`] where the value is too long.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.current.seal(purpose, random(), plain)
    }

    /// Opens what any of the keys sealed for this purpose.
    ///
    /// # Errors
    /// [`SealError`] where none does.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        std::iter::once(&self.current)
            .chain(&self.former)
            .find_map(|key| key.open(purpose, sealed).ok())
            .ok_or(SealError)
    }

    /// 256 bits that follow from the input for whoever has the key: the same on every node.
    pub fn derive(&self, purpose: &str, input: &[u8]) -> [u8; 32] {
        self.current.derive(purpose, input)
    }
}
