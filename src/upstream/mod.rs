//! stub
use crate::clock::Clock;
use crate::settings::*;
use std::sync::Arc;
use vestibule_protocol::{OAuthError, Profile};
pub struct Upstream;
pub struct Provider {
    pub settings: ProviderSettings,
}
impl Provider {
    pub fn name(&self) -> &str {
        ""
    }
    pub fn title(&self) -> &str {
        ""
    }
    pub fn protocol(&self) -> &str {
        ""
    }
}
pub struct Presented {
    pub credential: Credential,
    pub nonce: Option<String>,
}
pub enum Credential {
    Token(String),
    Code { code: String, redirect_uri: Option<String>, code_verifier: Option<String> },
}
pub struct Identified {
    pub profile: Profile,
    pub tokens: ProviderTokens,
    pub expires_at: Option<i64>,
}
pub struct ProviderTokens;
impl ProviderTokens {
    pub fn to_json(&self) -> Vec<u8> {
        vec![]
    }
}
impl Upstream {
    pub fn new(_: &Settings, _: Clock) -> Result<Self, String> {
        Ok(Self)
    }
    pub fn provider(&self, _: &str) -> Option<&Provider> {
        None
    }
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        std::iter::empty()
    }
    pub async fn identify(&self, _: &Provider, _: &Presented) -> Result<Identified, OAuthError> {
        Err(OAuthError::missing("x"))
    }
    pub async fn identify_remembered(&self, _: &Provider, _: &str) -> Result<Arc<Identified>, OAuthError> {
        Err(OAuthError::missing("x"))
    }
}
