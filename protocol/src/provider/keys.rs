//! Every key that a provider's entry can have: for the check of an operator's configuration, which suggests the nearest
//! one, and for the reference.

/// The keys, with their tables. `*` stands for a name of the entry's own.
pub const ENTRY_KEYS: &[&str] = &[
    "name",
    "title",
    "protocol",
    "status",
    "note",
    "register",
    "quirk",
    "connect_only",
    "starts_there",
    "issuer",
    "issuers",
    "discovery",
    "code_prefixes",
    "endpoints.authorize",
    "endpoints.token",
    "endpoints.request_token",
    "endpoints.userinfo",
    "endpoints.jwks",
    "endpoints.hosts",
    "authorize.params.*",
    "authorize.names.*",
    "authorize.omit",
    "authorize.code",
    "authorize.pkce",
    "authorize.nonce",
    "authorize.fragment",
    "authorize.no_state",
    "scope.default",
    "scope.separator",
    "token.auth",
    "token.body",
    "token.params.*",
    "token.query.*",
    "token.headers.*",
    "token.names.*",
    "token.omit",
    "token.answer",
    "token.access_token",
    "token.expires_in",
    "refresh.url",
    "refresh.auth",
    "refresh.params.*",
    "refresh.body",
    "refresh.by",
    "revoke.url",
    "revoke.method",
    "revoke.basic",
    "revoke.json.*",
    "revoke.form.*",
    "revoke.headers.*",
    "revoke.by",
    "access_token.in",
    "access_token.scheme",
    "access_token.name",
    "headers.*",
    "userinfo.method",
    "userinfo.json.*",
    "userinfo.form.*",
    "userinfo.headers.*",
    "userinfo.format",
    "userinfo.answer_header",
    "profile.name",
    "profile.url",
    "profile.optional",
    "profile.membership",
    "profile.only_with",
    "profile.method",
    "profile.json.*",
    "profile.form.*",
    "profile.headers.*",
    "profile.format",
    "profile.answer_header",
    "claims.uid",
    "claims.legacy_uids",
    "claims.username",
    "claims.email",
    "claims.email_verified",
    "claims.fullname",
    "claims.first_name",
    "claims.last_name",
    "claims.picture",
    "claims.groups",
    "claims.entitlements",
    "claims.holder",
    "extra.*",
    "require.that",
    "require.otherwise",
    "audience.of",
    "audience.method",
    "audience.url",
    "audience.only_with",
    "audience.basic",
    "audience.bearer",
    "audience.headers.*",
    "audience.json.*",
    "audience.form.*",
    "audience.audience",
    "audience.is_setting",
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
    "id_token.complete",
    "id_token.max_age",
    "id_token.at_hash",
    "errors.refused",
    "errors.busy",
    "errors.expired",
    "errors.misconfigured",
    "oauth1.signature",
    "oauth1.request_token_method",
    "oauth1.token_method",
    "oauth1.request_token_params.*",
    "openid2.identifier",
    "openid2.attributes.*",
    "openid2.registration",
    "openid2.identifier_prefix",
    "settings.*.kind",
    "settings.*.default",
    "settings.*.optional",
    "settings.*.description",
    "example.answer",
    "example.answers.*",
    "example.settings.*",
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

/// Whether `known` is this path or has it as a beginning; a `*` at its end stands for everything below too.
fn is_at_or_below(known: &str, path: &str) -> bool {
    let open = known.ends_with(".*");
    let mut known = known.split('.');
    path.split('.').all(|part| match known.next() {
        Some(name) => name == "*" || name == part,
        None => open,
    })
}
