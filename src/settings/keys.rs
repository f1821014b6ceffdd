//! Every key as the reference page and the check for unknown keys know it.

/// A key as the reference page and the check for unknown keys know it. `*` stands for a name of the operator's.
#[derive(Clone, Copy)]
pub struct Key {
    /// The key with its tables: `tokens.access_token_ttl`.
    pub name: &'static str,
    /// The default as one would write it; empty where there is none.
    pub default: &'static str,
    /// What it does.
    pub sentence: &'static str,
}

const fn key(name: &'static str, default: &'static str, sentence: &'static str) -> Key {
    Key { name, default, sentence }
}

/// Every key there is.
pub const KEYS: &[Key] = &{
    const LISTS: [&[Key]; 5] = [SERVER, SOCIAL, PROVIDERS, PROVIDERS_SOCIAL, OUTBOUND];
    const COUNT: usize = SERVER.len() + SOCIAL.len() + PROVIDERS.len() + PROVIDERS_SOCIAL.len() + OUTBOUND.len();
    joined::<COUNT>(&LISTS)
};

const fn joined<const COUNT: usize>(mut lists: &[&[Key]]) -> [Key; COUNT] {
    let mut all = [key("", "", ""); COUNT];
    let mut at = 0;
    while let [first, rest @ ..] = lists {
        let mut own: &[Key] = first;
        while let [key, others @ ..] = own {
            all[at] = *key;
            at += 1;
            own = others;
        }
        lists = rest;
    }
    all
}

const SERVER: &[Key] = &[
    key("listen", "\"127.0.0.1:8000\"", "Address and port to listen on."),
    key(
        "public_url",
        "\"http://127.0.0.1:8000\"",
        "What clients see; the issuer is this plus `mount`. Without it, `http://` and the listen address.",
    ),
    key("mount", "\"/auth\"", "Where the OAuth2 endpoints hang."),
    key("database_url", "\"sqlite://vestibule.db\"", "`sqlite://FILE` or `postgres://USER@HOST/DATABASE`."),
    key("proprietary_backend_name", "\"Django\"", "The name this server itself has as a backend."),
    key(
        "encryption_key",
        "",
        "The key that seals provider tokens: 32 random bytes in base64 (`openssl rand -base64 32`). The same on every node.",
    ),
    key(
        "encryption_key_file",
        "",
        "A file with such keys, one a line: the first seals, all open. Without either setting a key is made at the first start: beside the SQLite file, or for PostgreSQL in the user's state directory.",
    ),
    key("database.max_connections", "16", "The most connections to PostgreSQL that one node opens."),
    key("database.acquire_timeout", "\"3s\"", "How long a request waits for a connection before the answer is 503."),
    key("database.cleanup_interval", "\"60s\"", "How often a running server removes what has expired."),
    key("http.max_body_bytes", "2097152", "The largest request body, in bytes; a larger one is 413."),
    key("http.request_timeout", "\"60s\"", "How long a request may take in all."),
    key(
        "http.client_address_header",
        "",
        "The header by which a proxy tells the client's address, such as `X-Forwarded-For`; the last address in it counts. Without it, the connection's own.",
    ),
    key("http.header_timeout", "\"10s\"", "How long a client may take to send the head of a request."),
    key("http.drain_timeout", "\"20s\"", "How long running requests have to finish after SIGTERM."),
    key(
        "log.level",
        "\"info\"",
        "What is logged: `error`, `warn`, `info`, `debug`, or a filter such as `info,vestibule=debug`.",
    ),
    key("log.format", "\"text\"", "`text` for people, `json` for machines: one object a line."),
    key("passwords.hash_threads", "0", "Threads that hash passwords; 0 is one for each processor."),
    key(
        "passwords.hash_queue",
        "128",
        "How many sign-ins may wait for a hash; beyond that the answer is 503 with `Retry-After`.",
    ),
    key(
        "accounts.signup",
        "\"off\"",
        "Whether anybody may make an account with a password: `off`, or `open` for whoever proves an e-mail address; then mails must leave (`[mail]`). Coming in by a provider is not meant (`social.allow_signup`).",
    ),
    key("accounts.password_min_length", "8", "The shortest new password, in characters, 8 to 128."),
    key("accounts.deletion", "true", "Whether people may delete their own accounts."),
    key("console.enabled", "true", "Whether the console (`/admin/`) and the admin API are there at all."),
    key(
        "console.require_second_factor",
        "false",
        "Whether staff come into the console only with a second factor: a passkey, or a code beside the password.",
    ),
    key("tokens.access_token_ttl", "\"10h\"", "How long an access token lives."),
    key("tokens.refresh_token_ttl", "\"30d\"", "How long a refresh token lives when it is not used."),
    key("tokens.rotate_refresh_tokens", "true", "Whether a refresh gives a new refresh token and ends the old one."),
    key(
        "tokens.refresh_grace",
        "\"10s\"",
        "Within it, the last refresh token asked again gives the same new pair; `0s` is strict.",
    ),
    key(
        "tokens.access_token_format",
        "\"opaque\"",
        "What an access token is: `opaque`, or `jwt` (RFC 9068). An application can have its own (`app create --access-token-format`).",
    ),
    key(
        "tokens.user_in_response",
        "false",
        "Adds `user` {email, first_name, last_name} to the token answer, as drf-social-oauth2 does.",
    ),
    key(
        "tokens.provider_token_ttl",
        "\"60s\"",
        "How long a provider's token that was verified in an `Authorization` header is not asked about again; never past its own expiry.",
    ),
    key("authorization.code_ttl", "\"60s\"", "How long an authorization code can be redeemed."),
    key("authorization.pushed_request_ttl", "\"90s\"", "How long a pushed request can be used (RFC 9126)."),
    key("authorization.device_code_ttl", "\"10m\"", "How long a device waits for its code to be typed (RFC 8628)."),
    key("authorization.device_poll_interval", "\"5s\"", "The time between two polls of a device."),
    key(
        "authorization.allow_uri_wildcards",
        "false",
        "Whether redirect URIs may have a `*` at the beginning of their host: `https://*.preview.example.com/cb`.",
    ),
    key(
        "authorization.resources",
        "[]",
        "The APIs that tokens can be asked for by `resource` (RFC 8707); with none, `public_url`.",
    ),
    key("sessions.idle_ttl", "\"14d\"", "After so long without a request a browser's session ends."),
    key("sessions.absolute_ttl", "\"30d\"", "After so long a browser's session ends in any case."),
    key("pages.site_name", "\"Vestibule\"", "What the pages call this server."),
    key(
        "pages.folder",
        "",
        "A folder with templates, translations and a style sheet that go before our own of the same name. Read at each page.",
    ),
    key("pages.locale", "\"en\"", "The language of the pages where the browser names none that there is."),
    key(
        "signing_keys.rotate_every",
        "\"90d\"",
        "How long a signing key signs before the next one does, which is published all that time.",
    ),
    key(
        "registration.mode",
        "\"off\"",
        "Who may register an application over HTTP (RFC 7591): `off`, `token` (whoever has the initial access token) or `open`.",
    ),
    key("registration.initial_access_token", "", "What must be presented where `registration.mode` is `token`."),
    key(
        "registration.client_id_metadata_documents",
        "false",
        "Whether a client id may be the https address of a document about the client, which is fetched then.",
    ),
    key(
        "registration.by_people",
        "\"everybody\"",
        "Who may register applications of their own on their pages: `off`, `staff` or `everybody` who can sign in.",
    ),
    key(
        "mutual_tls.certificate_header",
        "",
        "The header in which a proxy hands on the client's certificate, PEM or base64 (RFC 8705). The proxy must remove it from what clients send.",
    ),
    key(
        "mutual_tls.subject_header",
        "",
        "The header in which a proxy hands on the subject of a certificate that it has verified. The proxy must remove it from what clients send.",
    ),
    key("dpop.require_nonce", "false", "Whether every DPoP proof must have a nonce of this server's (RFC 9449 §8)."),
    key(
        "scopes.*",
        "read, write",
        "A scope's name, and its description. With none, there are `read` and `write`. All are default.",
    ),
    key(
        "mail.smtp_url",
        "",
        "The server that takes our mails: `smtps://USER:PASSWORD@HOST`, or `smtp://USER:PASSWORD@HOST:587?tls=required` for STARTTLS; without `tls`, in clear.",
    ),
    key("mail.from", "", "The sender's address: `Example <no-reply@example.com>`. Needed with `smtp_url`."),
    key(
        "mail.folder",
        "",
        "A folder that mails are written to, a file each, where no server is named: for trying out.",
    ),
    key("mail.timeout", "\"10s\"", "How long a mail may take to be handed over."),
];

/// The keys of `[social]`, and again those of one provider.
macro_rules! policy_keys {
    ($($name:literal, $default:literal, $sentence:literal;)*) => {
        const SOCIAL: &[Key] = &[$(key(concat!("social.", $name), $default, $sentence)),*];
        const PROVIDERS_SOCIAL: &[Key] = &[$(key(
            concat!("providers.*.", $name),
            $default,
            concat!("As `social.", $name, "`, for this provider; without it, what that says."),
        )),*];
    };
}

policy_keys! {
    "allowed_domains", "[]", "Only people with an address in one of these domains; empty is everybody.";
    "allowed_emails", "[]", "Only people with one of these addresses; empty is everybody. With `allowed_domains` too, one of both is enough.";
    "allowed_groups", "[]", "Only people whom the provider says to be in one of these groups; empty is everybody.";
    "allowed_entitlements", "[]", "Only people whom the provider says to have one of these entitlements; empty is everybody.";
    "allow_signup", "true", "Whether people we do not know yet may come in.";
    "on_taken_email", "\"refuse\"", "A new person's e-mail address belongs to an account: `refuse`, `associate` (into that account, only where both sides verified the address) or `create` (a second account).";
    "allow_unverified_legacy_uid_migration", "false", "Whether an account that is known only by an identifier that the provider used formerly is this person's. Without it they sign in to it otherwise and connect anew.";
    "username_is_full_email", "false", "Whether a new person's username is their address.";
    "uuid_length", "16", "How many random digits are put behind a username that is taken, 4 to 32.";
    "clean_usernames", "true", "Whether usernames are cleaned to letters and digits of ASCII and `_.@+-`.";
    "slugify_usernames", "false", "Whether usernames become slugs: lower case, with hyphens for blanks.";
    "lowercase_usernames", "false", "Whether usernames are written in lower case.";
    "username_max_length", "150", "The longest username, in characters.";
    "force_email_lowercase", "false", "Whether addresses are stored in lower case. They are compared so in any case.";
    "protected_user_fields", "[]", "What no sign-in changes, of `first_name`, `last_name`, `picture`, `email` and `username`; the last two are protected anyway.";
    "immutable_user_fields", "[]", "What no sign-in changes once it is set.";
    "no_default_protected_user_fields", "false", "Whether a sign-in also brings the username and the address up to date, where nobody else has them.";
    "firstlast_from_full", "true", "Whether a full name is split into first and last name where the provider does not tell them apart.";
    "full_from_firstlast", "true", "Whether the `fullname` of `extra_data` is made of first and last name where the provider has none.";
    "extra_data", "[]", "What is kept with the association, of what the provider's entry names under `extra`: names, or `name as alias`. Tokens are never kept so.";
    "get_all_extra_data", "false", "Whether all is kept that the provider's entry names under `extra`, but for tokens.";
    "require_email", "false", "Whether a new person must have an address; in a browser they are asked for it, and prove it by a mail.";
    "force_email_validation", "false", "Whether a new person's address must be verified: by the provider, else in a browser by a mail.";
    "revoke_tokens_on_disconnect", "false", "Whether a provider whose entry says how is told to end its tokens before its account is disconnected. If that fails, the account stays connected.";
    "login_redirect_url", "\"/account/\"", "Where somebody goes after signing in who came without a `next`.";
    "new_user_redirect_url", "\"\"", "Where a new person goes first; `next` is handed on. Empty: where everybody goes.";
    "new_association_redirect_url", "\"\"", "Where somebody goes who has connected an account and came without a `next`. Empty: `login_redirect_url`, or the page of connected accounts where that is not set either.";
    "disconnect_redirect_url", "\"\"", "Where somebody goes who has disconnected one and came without a `next`. Empty: `login_redirect_url`, or the page of connected accounts where that is not set either.";
    "inactive_user_url", "\"\"", "Where somebody goes whose account was deactivated. Empty: `login_error_url`.";
    "login_error_url", "\"\"", "Where somebody goes who could not be signed in, with `?error=REASON`. Empty: a page that says why.";
    "allowed_redirect_hosts", "[]", "The hosts, with their port where it is not the usual one, that `next` and the addresses above may lead to beside this server.";
}

const PROVIDERS: &[Key] = &[
    key(
        "provider_folder",
        "",
        "A folder with catalog entries of your own, one TOML file a provider; one that the catalog has too lies over it, key by key.",
    ),
    key("providers.*.client_id", "", "Our client id at the provider. A provider with one is enabled."),
    key("providers.*.client_secret", "", "Our secret at the provider."),
    key(
        "providers.*.enabled",
        "",
        "`false` switches it off, whatever else is set; `true` on, where no client id is needed. Without it: whether a client id is set.",
    ),
    key("providers.*.scope", "[]", "Added to the catalog's default scope."),
    key("providers.*.ignore_default_scope", "false", "Leaves the catalog's default scope out."),
    key(
        "providers.*.auth_extra_arguments",
        "",
        "Further parameters of the provider's sign-in page: `{ prompt = \"select_account\" }`.",
    ),
    key(
        "providers.*.accept_unverified_audience",
        "false",
        "May tokens be converted that cannot be tied to this client? Only for providers that nobody else's application uses.",
    ),
    key(
        "providers.*.client_ids",
        "[]",
        "Further client ids of the same project (iOS, Android) whose tokens count as ours.",
    ),
];

const OUTBOUND: &[Key] = &[
    key("hooks.*.url", "", "A webhook's address: yours, so it may be a private one."),
    key(
        "hooks.*.secret",
        "",
        "What signs (Standard Webhooks): `whsec_` and 32 random bytes in base64 (`echo whsec_$(openssl rand -base64 32)`). Two between blanks while one is changed.",
    ),
    key(
        "hooks.*.events",
        "[]",
        "What it is asked (`person.arriving`) or told (`user.created`, `association.created`, `user.signed_in`, `association.deleted`); empty is everything.",
    ),
    key("hooks.*.timeout", "\"3s\"", "How long it may take to answer, 30s at most."),
    key(
        "hooks.*.on_failure",
        "\"refuse\"",
        "Somebody arrives and it does not answer: `refuse` (503, try again) or `allow` (as if it were not there).",
    ),
    key("outbound.timeout", "\"10s\"", "How long a provider has for a whole answer."),
    key(
        "outbound.max_answer_bytes",
        "1048576",
        "The largest answer taken from a provider, in bytes after decompression.",
    ),
    key("outbound.max_concurrent_calls", "64", "How many calls to one provider may run at once; more wait."),
    key(
        "outbound.allow_private_addresses",
        "false",
        "Whether provider URLs may resolve to loopback and private ranges.",
    ),
    key(
        "outbound.origin_map.*",
        "",
        "Rewrites an outbound origin, for gateways and for tests. An address named here is not guarded.",
    ),
];
