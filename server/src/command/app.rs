//! `vestibule app …`: registering applications. A secret is shown once and never again.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use vestibule::protocol::client_metadata::{AccessTokenFormat, ClientMetadata, PkceRule, SubjectType};
use vestibule::protocol::{ClientAuthenticationMethod, ClientType, GrantType, PlainToken, Scope, TokenKind};
use vestibule::store::application::{self, Application, PreviousSecret};
use vestibule::store::user;
use vestibule::{Vestibule, client, context, limits, registration, settings};

use crate::outcome::{Failure, Outcome, Output, print};

#[derive(Subcommand)]
pub enum AppCommand {
    /// Register an application; its secret is shown this once
    Create(Create),
    /// All applications
    List(Output),
    /// One application
    Show(Named),
    /// Change an application; a list that is given replaces the one before
    Update {
        #[command(flatten)]
        named: Named,
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        details: Details,
    },
    /// Let an application work again
    Enable(Named),
    /// Keep an application out; every token that it was given ends at once
    Disable(Named),
    /// Give an application a new secret
    RotateSecret {
        #[command(flatten)]
        named: Named,
        /// How long the old one still counts: 24h
        #[arg(long, value_name = "DURATION", default_value = "0s")]
        overlap: String,
    },
    /// Delete an application with all its tokens
    Delete(Named),
}

#[derive(Args)]
pub struct Create {
    /// For people
    #[arg(long)]
    name: String,
    /// confidential: runs on a server; public: runs on people's devices
    #[arg(long)]
    client_type: ClientType,
    /// A client id of your own; else one is made
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A secret of your own, which nobody must be able to guess; else one is made
    #[arg(long, value_name = "S")]
    client_secret: Option<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    output: Output,
}

/// What can be given at the beginning and changed later.
#[derive(Args)]
pub struct Details {
    /// authorization-code, implicit, hybrid, password, client-credentials, refresh-token, convert-token, token-exchange, device-code, jwt-bearer; several times
    #[arg(long = "grant-type", value_name = "G")]
    grant_types: Vec<GrantType>,
    /// Where a browser may be sent back to; several times
    #[arg(long = "redirect-uri", value_name = "U")]
    redirect_uris: Vec<String>,
    /// Where a browser may be sent after signing out; several times
    #[arg(long = "post-logout-redirect-uri", value_name = "U")]
    post_logout_redirect_uris: Vec<String>,
    /// An origin whose scripts may call the token endpoint; several times
    #[arg(long = "allowed-origin", value_name = "O")]
    allowed_origins: Vec<String>,
    /// The application's public keys, a JWK set
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Where those keys are
    #[arg(long, value_name = "U")]
    jwks_uri: Option<String>,
    /// client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, tls_client_auth, self_signed_tls_client_auth or none: the only method it may use
    #[arg(long, value_name = "M")]
    token_endpoint_auth_method: Option<ClientAuthenticationMethod>,
    /// What it may ask for; without any: everything; several times
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// Whose application it is
    #[arg(long, value_name = "USERNAME")]
    owner: Option<String>,
    /// Do not ask people for consent
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    skip_authorization: Option<bool>,
    /// May introspect every application's tokens
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    resource_server: Option<bool>,
    /// none, HS256, RS256, ES256 or EdDSA
    #[arg(long, value_name = "A", value_parser = ["none", "HS256", "RS256", "ES256", "EdDSA"])]
    signing_algorithm: Option<String>,
    #[command(flatten)]
    metadata: Metadata,
}

/// Client metadata (RFC 7591), the part of it that is used most by flags of its own.
#[derive(Args)]
pub struct Metadata {
    /// What its access tokens are: opaque or jwt (RFC 9068)
    #[arg(long, value_name = "F")]
    access_token_format: Option<AccessTokenFormat>,
    /// required (S256), plain (plain challenges too) or optional (confidential applications only)
    #[arg(long, value_name = "RULE")]
    pkce: Option<PkceRule>,
    /// public, or pairwise: people are somebody else to each sector
    #[arg(long, value_name = "T")]
    subject_type: Option<SubjectType>,
    /// Authorization requests must be pushed (RFC 9126)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    require_par: Option<bool>,
    /// Tokens must be bound to a key (RFC 9449)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    dpop_bound: Option<bool>,
    /// Where it is told of a sign-out
    #[arg(long, value_name = "U")]
    backchannel_logout_uri: Option<String>,
    /// What the browser loads at a sign-out
    #[arg(long, value_name = "U")]
    frontchannel_logout_uri: Option<String>,
    /// May fetch people's tokens of providers (POST provider-token)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    provider_tokens: Option<bool>,
    /// Any client metadata, a JSON object in the names of RFC 7591
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

#[derive(Args)]
pub struct Named {
    client_id: String,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(vestibule: &Vestibule, command: AppCommand) -> Outcome {
    match command {
        AppCommand::Create(create) => self::create(vestibule, create).await,
        AppCommand::List(output) => {
            let all = application::list(&vestibule.context().db).await?;
            print(output, &Value::Array(all.iter().map(registration::described).collect()), || {
                all.iter().fold(String::new(), |mut text, app| {
                    let state = if app.is_active { "" } else { "  (disabled)" };
                    let _ = writeln!(text, "{:<44} {:<13} {}{state}", app.client_id, app.client_type, app.name);
                    text
                })
            });
            Ok(())
        }
        AppCommand::Show(named) => {
            let app = find(vestibule, &named.client_id).await?;
            print(named.output, &registration::described(&app), || as_text(&app));
            Ok(())
        }
        AppCommand::Update { named, name, details } => {
            let mut app = find(vestibule, &named.client_id).await?;
            app.name = name.unwrap_or(app.name);
            let grants_given = !details.grant_types.is_empty();
            lay_over(vestibule, &mut app, details).await?;
            if grants_given {
                registration::check_has_redirect_uri(&app).map_err(refused)?;
            }
            if client::needs_secret_itself(&app) && app.sealed_secret.is_none() {
                // Of the old secret only the hash is kept, and with that nothing can be signed.
                let secret = PlainToken::new(TokenKind::ClientSecret, &context::random());
                client::set_secret(vestibule.context(), &mut app, secret.reveal()).map_err(refused)?;
                let app = update(vestibule, &app).await?;
                print_with_secret(named.output, &app, Some(secret.reveal()));
                return Ok(());
            }
            save(vestibule, &named, &app, "is changed").await
        }
        AppCommand::Enable(named) => {
            let app = Application { is_active: true, ..find(vestibule, &named.client_id).await? };
            save(vestibule, &named, &app, "is enabled").await
        }
        AppCommand::Disable(named) => {
            let app = Application { is_active: false, ..find(vestibule, &named.client_id).await? };
            save(vestibule, &named, &app, "is disabled; every token that it was given has ended").await
        }
        AppCommand::RotateSecret { named, overlap } => rotate_secret(vestibule, &named, &overlap).await,
        AppCommand::Delete(named) => {
            let app = find(vestibule, &named.client_id).await?;
            application::delete(&vestibule.context().db, app.id).await?;
            print(named.output, &registration::described(&app), || format!("{} is deleted", app.client_id));
            Ok(())
        }
    }
}

async fn create(vestibule: &Vestibule, create: Create) -> Outcome {
    let cx = vestibule.context();
    let refuse = |sentence: &str| Err(Failure::Refused(sentence.to_owned()));
    let client_id = create.client_id.unwrap_or_else(client::new_id);
    if client_id.is_empty() || client_id.len() > 255 || !client_id.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        return refuse("a client id has 1 to 255 characters, of ASCII and without blanks");
    }
    let secret = match (create.client_type, create.client_secret) {
        (ClientType::Public, None) => None,
        (ClientType::Public, Some(_)) => {
            return refuse("a public application has no client secret: whoever has the application would have it");
        }
        (ClientType::Confidential, Some(given)) if given.is_empty() => return refuse("a client secret is not empty"),
        (ClientType::Confidential, Some(given)) if looks_hashed(&given) => {
            return refuse("this looks like the hash of a secret; give the secret itself, or none to have one made");
        }
        (ClientType::Confidential, given) => Some(
            given.unwrap_or_else(|| PlainToken::new(TokenKind::ClientSecret, &context::random()).reveal().to_owned()),
        ),
    };
    if secret.as_deref().is_some_and(|secret| secret.chars().count() < 16) {
        eprintln!("warning: a client secret of less than 16 characters can be guessed");
    }
    let mut app = Application::new(client_id, create.name, create.client_type);
    let grants_given = !create.details.grant_types.is_empty();
    lay_over(vestibule, &mut app, create.details).await?;
    if grants_given {
        registration::check_has_redirect_uri(&app).map_err(refused)?;
    }
    if let Some(secret) = &secret {
        client::set_secret(cx, &mut app, secret).map_err(refused)?;
    }
    let app = application::create(&cx.db, &app, cx.clock.now()).await?;
    let Some(app) = app else { return refuse("this client id is taken") };
    print_with_secret(create.output, &app, secret.as_deref());
    Ok(())
}

/// `sha256$…`, `pbkdf2_sha256$…`: what was copied out of a database.
fn looks_hashed(secret: &str) -> bool {
    secret.split_once('$').is_some_and(|(scheme, _)| {
        ["sha256", "pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt", "bcrypt_sha256", "scrypt"].contains(&scheme)
    })
}

async fn rotate_secret(vestibule: &Vestibule, named: &Named, overlap: &str) -> Outcome {
    let cx = vestibule.context();
    let overlap =
        settings::parse_duration(overlap).map_err(|sentence| Failure::Refused(format!("--overlap: {sentence}")))?;
    let mut app = find(vestibule, &named.client_id).await?;
    if app.client_type == ClientType::Public {
        return Err(Failure::Refused("a public application has no client secret".to_owned()));
    }
    let secret = PlainToken::new(TokenKind::ClientSecret, &context::random());
    let expires_at = cx.clock.now() + i64::try_from(overlap.as_secs()).unwrap_or(0);
    app.previous_secret =
        app.secret_hash.take().filter(|_| !overlap.is_zero()).map(|hash| PreviousSecret { hash, expires_at });
    client::set_secret(cx, &mut app, secret.reveal()).map_err(refused)?;
    let app = update(vestibule, &app).await?;
    print_with_secret(named.output, &app, Some(secret.reveal()));
    Ok(())
}

/// Checks what was given and lays it over the application.
async fn lay_over(vestibule: &Vestibule, app: &mut Application, details: Details) -> Outcome {
    let cx = vestibule.context();
    let refuse = |sentence: String| Failure::Refused(sentence);
    let scopes: Scope =
        details.scopes.iter().flat_map(|words| words.split(' ')).filter(|word| !word.is_empty()).collect();
    let known = limits::known_scopes(&cx.settings);
    if !scopes.is_within(&known) {
        return Err(refuse(format!("--scope: this server knows {known}")));
    }
    replace_list(&mut app.grant_types, details.grant_types);
    replace_texts(&mut app.redirect_uris, details.redirect_uris);
    replace_texts(&mut app.post_logout_redirect_uris, details.post_logout_redirect_uris);
    replace_texts(&mut app.allowed_origins, details.allowed_origins);
    if !scopes.is_empty() {
        app.scopes = scopes;
    }
    if let Some(file) = details.jwks {
        let text = std::fs::read_to_string(&file)
            .map_err(|error| refuse(format!("--jwks: cannot read {}: {error}", file.display())))?;
        let keys = serde_json::from_str::<Value>(&text).ok().filter(|set| set["keys"].is_array());
        app.jwks =
            Some(keys.ok_or_else(|| refuse("--jwks: is not a JWK set: {\"keys\": […]}".to_owned()))?.to_string());
    }
    app.jwks_uri = details.jwks_uri.or(app.jwks_uri.take());
    if let Some(method) = details.token_endpoint_auth_method {
        app.token_endpoint_auth_method = Some(method);
    }
    if let Some(username) = details.owner {
        let owner = user::find_by_username(&cx.db, &username).await?;
        app.owner_id =
            Some(owner.ok_or_else(|| refuse(format!("--owner: no person has the username `{username}`")))?.id);
    }
    app.skip_authorization = details.skip_authorization.unwrap_or(app.skip_authorization);
    app.is_resource_server = details.resource_server.unwrap_or(app.is_resource_server);
    app.signing_algorithm = details.signing_algorithm.unwrap_or_else(|| app.signing_algorithm.clone());
    lay_metadata_over(&mut app.metadata, details.metadata)?;
    registration::check(cx, app).map_err(refused)
}

/// Lays the flags for client metadata over it.
fn lay_metadata_over(metadata: &mut ClientMetadata, given: Metadata) -> Outcome {
    if let Some(text) = given.metadata {
        let wrong = |error: &dyn std::fmt::Display| Failure::Refused(format!("--metadata: {error}"));
        let mut members = match serde_json::to_value(&*metadata) {
            Ok(Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        };
        members.extend(serde_json::from_str::<serde_json::Map<String, Value>>(&text).map_err(|error| wrong(&error))?);
        *metadata = serde_json::from_value(Value::Object(members)).map_err(|error| wrong(&error))?;
    }
    metadata.access_token_format = given.access_token_format.or(metadata.access_token_format);
    metadata.pkce = given.pkce.unwrap_or(metadata.pkce);
    metadata.subject_type = given.subject_type.unwrap_or(metadata.subject_type);
    metadata.require_pushed_authorization_requests =
        given.require_par.unwrap_or(metadata.require_pushed_authorization_requests);
    metadata.dpop_bound_access_tokens = given.dpop_bound.unwrap_or(metadata.dpop_bound_access_tokens);
    metadata.provider_tokens = given.provider_tokens.unwrap_or(metadata.provider_tokens);
    metadata.backchannel_logout_uri = given.backchannel_logout_uri.or(metadata.backchannel_logout_uri.take());
    metadata.frontchannel_logout_uri = given.frontchannel_logout_uri.or(metadata.frontchannel_logout_uri.take());
    Ok(())
}

fn refused(error: vestibule::protocol::OAuthError) -> Failure {
    Failure::Refused(error.description.into_owned())
}

fn replace_list<T>(list: &mut Vec<T>, given: Vec<T>) {
    if !given.is_empty() {
        *list = given;
    }
}

/// As [`replace_list`]; one empty text empties the list.
fn replace_texts(list: &mut Vec<String>, given: Vec<String>) {
    match given.as_slice() {
        [only] if only.is_empty() => list.clear(),
        _ => replace_list(list, given),
    }
}

async fn find(vestibule: &Vestibule, client_id: &str) -> Result<Application, Failure> {
    let found = application::find(&vestibule.context().db, client_id).await?;
    found.ok_or_else(|| {
        Failure::Refused(format!("no application has the client id `{client_id}`; `vestibule app list` shows all"))
    })
}

async fn update(vestibule: &Vestibule, app: &Application) -> Result<Application, Failure> {
    let cx = vestibule.context();
    let changed = application::update(&cx.db, app, cx.clock.now()).await?;
    changed.ok_or_else(|| Failure::Refused("the application was deleted meanwhile".to_owned()))
}

async fn save(vestibule: &Vestibule, named: &Named, app: &Application, sentence: &str) -> Outcome {
    let app = update(vestibule, app).await?;
    print(named.output, &registration::described(&app), || format!("{} {sentence}", app.client_id));
    Ok(())
}

fn print_with_secret(output: Output, app: &Application, secret: Option<&str>) {
    let mut json = registration::described(app);
    json["client_secret"] = secret.into();
    print(output, &json, || {
        let mut text = format!("client_id      {}\n", app.client_id);
        if let Some(secret) = secret {
            let _ = writeln!(text, "client_secret  {secret}\n\nThe secret is shown this once: only its hash is kept.");
        }
        text
    });
}

fn as_text(app: &Application) -> String {
    let Value::Object(members) = registration::described(app) else { return String::new() };
    members.iter().fold(String::new(), |mut text, (name, value)| {
        let shown = match value {
            Value::String(text) => text.clone(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        let _ = writeln!(text, "{name:<28}{shown}");
        text
    })
}
