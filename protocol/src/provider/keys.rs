//! Every key that a provider's entry can have: for the check of an operator's configuration, which suggests the nearest
//! one, and for the reference.

/// The keys, with their tables. `*` stands for a name of the entry's own.
pub const ENTRY_KEYS: &[&str] = &[
    "name",
    "title",
    "protocol",
    "issuer",
    "issuers",
    "discovery",
    "code_prefixes",
    "token_request",
    "endpoints.authorize",
    "endpoints.token",
    "endpoints.userinfo",
    "endpoints.jwks",
    "scope.default",
    "scope.separator",
    "access_token.in",
    "access_token.scheme",
    "access_token.name",
    "headers.*",
    "profile.name",
    "profile.url",
    "profile.optional",
    "claims.uid",
    "claims.username",
    "claims.email",
    "claims.email_verified",
    "claims.fullname",
    "claims.first_name",
    "claims.last_name",
    "audience.method",
    "audience.url",
    "audience.basic",
    "audience.json.*",
    "audience.form.*",
    "audience.audience",
    "audience.subject",
    "audience.valid",
    "audience.expires_in",
    "audience.expires_at",
    "audience.foreign",
    "audience.foreign_statuses",
    "audience.rejected_statuses",
    "audience.misconfigured_statuses",
    "id_token.algorithms",
    "id_token.nonce",
    "errors.busy",
    "errors.expired",
    "errors.misconfigured",
    "settings.*.default",
    "example.answer",
    "example.answers.*",
    "example.profile.*",
];

/// The first key of a table that no entry has, with its tables; `None` if all are known. A value where a table belongs
/// is left to the reading of the entry, which knows the type.
pub fn unknown_key(table: &toml::Table) -> Option<String> {
    unknown_below("", table)
}

fn unknown_below(path: &str, table: &toml::Table) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if !ENTRY_KEYS.iter().any(|known| is_at_or_below(known, &path)) {
            return Some(path);
        }
        match value {
            toml::Value::Table(inner) => unknown_below(&path, inner),
            toml::Value::Array(items) => {
                items.iter().filter_map(toml::Value::as_table).find_map(|inner| unknown_below(&path, inner))
            }
            _ => None,
        }
    })
}

/// Whether `known` is this path or has it as a beginning.
fn is_at_or_below(known: &str, path: &str) -> bool {
    let mut known = known.split('.');
    path.split('.').all(|part| known.next().is_some_and(|name| name == "*" || name == part))
}
