//! What an application may ask for: scopes and APIs. For the token endpoint and the authorize endpoint alike.

use vestibule_protocol::scope::{
    ADMIN_READ_SCOPE, ADMIN_WRITE_SCOPE, APPLICATIONS_SCOPE, OPENID_SCOPES, is_admin_scope,
};
use vestibule_protocol::{ErrorCode, OAuthError, Params, Scope};

use crate::context::Context;
use crate::settings::Settings;
use crate::store::application::Application;

/// Every scope that there is.
pub fn known_scopes(settings: &Settings) -> Scope {
    let more = [APPLICATIONS_SCOPE, ADMIN_READ_SCOPE, ADMIN_WRITE_SCOPE];
    settings.scopes().into_iter().map(|(name, _)| name).chain(OPENID_SCOPES).chain(more).collect()
}

/// A scope that was asked for, if all of it exists and the application may have it.
///
/// # Errors
/// `invalid_scope`.
pub fn scope(cx: &Context, application: &Application, text: &str) -> Result<Scope, OAuthError> {
    let scope = Scope::parse(text)?;
    if !scope.is_within(&known_scopes(&cx.settings)) {
        return Err(OAuthError::invalid_scope("The scope holds a word that this server does not know."));
    }
    if !application.scopes.is_empty() && !scope.is_within(&application.scopes) {
        return Err(OAuthError::invalid_scope("The scope goes beyond what this application may ask for."));
    }
    // Whoever names no scopes may have every one but these.
    if scope.iter().any(|name| is_admin_scope(name) && !application.scopes.contains(name)) {
        return Err(OAuthError::invalid_scope("An admin scope is only for applications that are registered with it."));
    }
    Ok(scope)
}

/// What is given when nothing is asked for: every scope of this server's own that the application may have.
pub fn default_scope(cx: &Context, application: &Application) -> Scope {
    let limit = &application.scopes;
    let own = cx.settings.scopes().into_iter().map(|(name, _)| name);
    own.filter(|name| limit.is_empty() || limit.contains(name)).collect()
}

/// The APIs that a request names by `resource` (RFC 8707 §2); empty: it names none.
///
/// # Errors
/// `invalid_target` for one that is not among `authorization.resources`.
pub fn resources(cx: &Context, params: &Params) -> Result<Vec<String>, OAuthError> {
    let known = cx.settings.resources();
    let mut wanted: Vec<String> = Vec::new();
    for resource in params.all("resource") {
        // An address with and without the slash of its empty path is the same (RFC 3986 §6.2.3).
        let same = |known: &&String| known.trim_end_matches('/') == resource.trim_end_matches('/');
        let known = known.iter().find(same).ok_or_else(|| {
            let sentence =
                "This server issues no tokens for this `resource`; `authorization.resources` names those that it does.";
            OAuthError::new(ErrorCode::InvalidTarget, sentence)
        })?;
        if !wanted.contains(known) {
            wanted.push(known.clone());
        }
    }
    Ok(wanted)
}
