//! `vestibule app …`: registering applications. A secret is shown once and never again.

use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule::protocol::scope::OPENID_SCOPES;
use vestibule::protocol::{
    ClientAuthenticationMethod, ClientType, GrantType, PlainToken, Scope, TokenKind, redirect_uri,
};
use vestibule::store::application::{self, Application, PreviousSecret};
use vestibule::store::user;
use vestibule::{Vestibule, client, context, settings};

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
    /// A secret of your own, 16 characters at least; else one is made
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
    /// client_secret_basic, client_secret_post or none: the only method it may use
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
            print(output, &Value::Array(all.iter().map(as_json).collect()), || {
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
            print(named.output, &as_json(&app), || as_text(&app));
            Ok(())
        }
        AppCommand::Update { named, name, details } => {
            let mut app = find(vestibule, &named.client_id).await?;
            app.name = name.unwrap_or(app.name);
            lay_over(vestibule, &mut app, details).await?;
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
            print(named.output, &as_json(&app), || format!("{} is deleted", app.client_id));
            Ok(())
        }
    }
}

async fn create(vestibule: &Vestibule, create: Create) -> Outcome {
    let cx = vestibule.context();
    let refuse = |sentence: &str| Err(Failure::Refused(sentence.to_owned()));
    let client_id = create.client_id.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(context::random::<24>()));
    if client_id.is_empty() || client_id.len() > 255 || !client_id.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        return refuse("a client id has 1 to 255 characters, of ASCII and without blanks");
    }
    let secret = match (create.client_type, create.client_secret) {
        (ClientType::Public, None) => None,
        (ClientType::Public, Some(_)) => {
            return refuse("a public application has no client secret: whoever has the application would have it");
        }
        (ClientType::Confidential, Some(given)) if given.chars().count() < 16 => {
            return refuse("a client secret has at least 16 characters");
        }
        (ClientType::Confidential, Some(given)) if looks_hashed(&given) => {
            return refuse("this looks like the hash of a secret; give the secret itself, or none to have one made");
        }
        (ClientType::Confidential, given) => Some(
            given.unwrap_or_else(|| PlainToken::new(TokenKind::ClientSecret, &context::random()).reveal().to_owned()),
        ),
    };
    let grants_given = !create.details.grant_types.is_empty();
    let mut app = Application {
        secret_hash: secret.as_deref().map(client::hash_secret),
        ..Application::new(client_id, create.name, create.client_type)
    };
    lay_over(vestibule, &mut app, create.details).await?;
    if grants_given && app.redirect_uris.is_empty() && app.grant_types.iter().any(|grant| grant.redirects()) {
        return refuse("a grant that sends browsers back needs a --redirect-uri");
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
        app.secret_hash.filter(|_| !overlap.is_zero()).map(|hash| PreviousSecret { hash, expires_at });
    app.secret_hash = Some(client::hash_secret(secret.reveal()));
    let app = update(vestibule, &app).await?;
    print_with_secret(named.output, &app, Some(secret.reveal()));
    Ok(())
}

/// Checks what was given and lays it over the application.
async fn lay_over(vestibule: &Vestibule, app: &mut Application, details: Details) -> Outcome {
    let cx = vestibule.context();
    let refuse = |sentence: String| Failure::Refused(sentence);
    for uri in details.redirect_uris.iter().chain(&details.post_logout_redirect_uris) {
        redirect_uri::check(uri).map_err(refuse)?;
    }
    for origin in &details.allowed_origins {
        let parsed = url::Url::parse(origin).ok().map(|url| url.origin().ascii_serialization());
        if parsed.as_deref() != Some(origin) {
            return Err(refuse(format!("`{origin}` is not an origin such as https://app.example")));
        }
    }
    let scopes: Scope =
        details.scopes.iter().flat_map(|words| words.split(' ')).filter(|word| !word.is_empty()).collect();
    let known: Scope = cx.settings.scopes().into_iter().map(|(name, _)| name).chain(OPENID_SCOPES).collect();
    if !scopes.is_within(&known) {
        return Err(refuse(format!("--scope: this server knows {known}")));
    }
    replace_list(&mut app.grant_types, details.grant_types);
    replace_list(&mut app.redirect_uris, details.redirect_uris);
    replace_list(&mut app.post_logout_redirect_uris, details.post_logout_redirect_uris);
    replace_list(&mut app.allowed_origins, details.allowed_origins);
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
    if let Some(uri) = details.jwks_uri {
        let https = url::Url::parse(&uri).is_ok_and(|url| url.scheme() == "https");
        app.jwks_uri = Some(uri)
            .filter(|_| https)
            .ok_or_else(|| refuse("--jwks-uri: must be an https address".to_owned()))
            .map(Some)?;
    }
    if let Some(method) = details.token_endpoint_auth_method {
        if (method == ClientAuthenticationMethod::None) != (app.client_type == ClientType::Public) {
            return Err(refuse(
                "--token-endpoint-auth-method: `none` is for public applications, and for them only".to_owned(),
            ));
        }
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
    if app.client_type == ClientType::Public && app.grant_types.contains(&GrantType::ClientCredentials) {
        return Err(refuse(
            "client-credentials is for confidential applications: a public one cannot prove who it is (RFC 6749 §4.4)"
                .to_owned(),
        ));
    }
    Ok(())
}

fn replace_list<T>(list: &mut Vec<T>, given: Vec<T>) {
    if !given.is_empty() {
        *list = given;
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
    print(named.output, &as_json(&app), || format!("{} {sentence}", app.client_id));
    Ok(())
}

fn print_with_secret(output: Output, app: &Application, secret: Option<&str>) {
    let mut json = as_json(app);
    json["client_secret"] = secret.into();
    print(output, &json, || {
        let mut text = format!("client_id      {}\n", app.client_id);
        if let Some(secret) = secret {
            let _ = writeln!(text, "client_secret  {secret}\n\nThe secret is shown this once: only its hash is kept.");
        }
        text
    });
}

fn as_json(app: &Application) -> Value {
    let grants: Vec<_> = app.grant_types.iter().map(|grant| grant.as_str()).collect();
    json!({
        "client_id": app.client_id,
        "name": app.name,
        "client_type": app.client_type.as_str(),
        "grant_types": grants,
        "redirect_uris": app.redirect_uris,
        "post_logout_redirect_uris": app.post_logout_redirect_uris,
        "allowed_origins": app.allowed_origins,
        "scopes": app.scopes.iter().collect::<Vec<_>>(),
        "token_endpoint_auth_method": app.token_endpoint_auth_method.map(ClientAuthenticationMethod::as_str),
        "jwks_uri": app.jwks_uri,
        "signing_algorithm": app.signing_algorithm,
        "owner_id": app.owner_id,
        "skip_authorization": app.skip_authorization,
        "resource_server": app.is_resource_server,
        "is_active": app.is_active,
        "created_at": app.created_at,
        "updated_at": app.updated_at,
    })
}

fn as_text(app: &Application) -> String {
    let Value::Object(members) = as_json(app) else { return String::new() };
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
