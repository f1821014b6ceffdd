//! Microsoft takes a signed assertion in place of a client secret (RFC 7523 §2.2): one that stands in the configuration, or
//! one in a file that the platform writes anew from time to time (workload identity).

use super::super::token_endpoint::Fields;
use super::super::{Provider, refuse};
use crate::protocol::OAuthError;

pub(super) fn check(provider: &Provider) -> Result<(), String> {
    let has_any = provider.secret().is_some()
        || ["client_assertion", "federated_token_file"].iter().any(|name| provider.has_value(name));
    match has_any {
        true => Ok(()),
        false => {
            Err("`client_secret` is not set, nor `client_assertion` or `federated_token_file` in its place".into())
        }
    }
}

pub(super) fn fields(provider: &Provider) -> Result<Fields, OAuthError> {
    let assertion = match provider.value("client_assertion") {
        "" => from_file(provider)?,
        assertion => assertion.trim().to_owned(),
    };
    let kind = provider.value("client_assertion_type").to_owned();
    Ok(vec![("client_assertion_type".into(), kind), ("client_assertion".into(), assertion)])
}

fn from_file(provider: &Provider) -> Result<String, OAuthError> {
    let path = provider.value("federated_token_file");
    let misconfigured = |why: String| refuse::misconfigured(provider, format!("`federated_token_file`: {why}"));
    let text = std::fs::read_to_string(path).map_err(|error| misconfigured(error.to_string()))?;
    match text.trim() {
        "" => Err(misconfigured("the file is empty".into())),
        assertion => Ok(assertion.to_owned()),
    }
}
