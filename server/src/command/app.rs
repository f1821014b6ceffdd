//! `vestibule app …`: registering applications. A secret is shown once and never again.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use vestibule::admin::{Actor, applications};
use vestibule::protocol::client_metadata::{AccessTokenFormat, PkceRule, SubjectType};
use vestibule::protocol::{ClientAuthenticationMethod, ClientType, GrantType};
use vestibule::store::application::{self, Application};
use vestibule::{Vestibule, registration, settings};

use super::refused;
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
    let (cx, actor) = (vestibule.context(), Actor::operator());
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
            let mut members = members(details)?;
            members.extend(name.map(|name| ("name".to_owned(), Value::from(name))));
            find(vestibule, &named.client_id).await?;
            let changed = applications::change(cx, &actor, &named.client_id, &members).await.map_err(refused)?;
            match changed {
                (app, Some(secret)) => print_with_secret(named.output, &app, Some(&secret)),
                (app, None) => done(&named, &app, "is changed"),
            }
            Ok(())
        }
        AppCommand::Enable(named) => {
            find(vestibule, &named.client_id).await?;
            let app = applications::set_active(cx, &actor, &named.client_id, true).await.map_err(refused)?;
            done(&named, &app, "is enabled");
            Ok(())
        }
        AppCommand::Disable(named) => {
            find(vestibule, &named.client_id).await?;
            let app = applications::set_active(cx, &actor, &named.client_id, false).await.map_err(refused)?;
            done(&named, &app, "is disabled; every token that it was given has ended");
            Ok(())
        }
        AppCommand::RotateSecret { named, overlap } => {
            let overlap = settings::parse_duration(&overlap)
                .map_err(|sentence| Failure::Refused(format!("--overlap: {sentence}")))?;
            let overlap = i64::try_from(overlap.as_secs()).unwrap_or(0);
            find(vestibule, &named.client_id).await?;
            let rotated = applications::rotate_secret(cx, &actor, &named.client_id, overlap).await;
            let (app, secret) = rotated.map_err(refused)?;
            print_with_secret(named.output, &app, secret.as_deref());
            Ok(())
        }
        AppCommand::Delete(named) => {
            find(vestibule, &named.client_id).await?;
            let app = applications::delete(cx, &actor, &named.client_id).await.map_err(refused)?;
            done(&named, &app, "is deleted");
            Ok(())
        }
    }
}

async fn create(vestibule: &Vestibule, create: Create) -> Outcome {
    if create.client_secret.as_deref().is_some_and(|secret| (1..16).contains(&secret.chars().count())) {
        eprintln!("warning: a client secret of less than 16 characters can be guessed");
    }
    let mut members = members(create.details)?;
    members.insert("name".to_owned(), create.name.into());
    members.insert("client_type".to_owned(), create.client_type.as_str().into());
    for (name, given) in [("client_id", create.client_id), ("client_secret", create.client_secret)] {
        members.extend(given.map(|text| (name.to_owned(), Value::from(text))));
    }
    let created = applications::create(vestibule.context(), &Actor::operator(), &members).await;
    let (app, secret) = created.map_err(refused)?;
    print_with_secret(create.output, &app, secret.as_deref());
    Ok(())
}

/// The flags as the members of an application; what is not given is not among them.
fn members(details: Details) -> Result<Map<String, Value>, Failure> {
    let mut members = Map::new();
    let grants: Vec<String> = details.grant_types.iter().map(|grant| grant.as_str().to_owned()).collect();
    let scopes = details.scopes.iter().flat_map(|words| words.split_whitespace()).map(str::to_owned).collect();
    for (name, given) in [
        ("grant_types", grants),
        ("redirect_uris", details.redirect_uris),
        ("post_logout_redirect_uris", details.post_logout_redirect_uris),
        ("allowed_origins", details.allowed_origins),
        ("scopes", scopes),
    ] {
        match given.as_slice() {
            [] => {}
            // One empty text empties the list.
            [only] if only.is_empty() => {
                members.insert(name.to_owned(), Value::Array(Vec::new()));
            }
            _ => {
                members.insert(name.to_owned(), given.into());
            }
        }
    }
    if let Some(file) = details.jwks {
        let wrong = |sentence: String| Failure::Refused(format!("--jwks: {sentence}"));
        let text = std::fs::read_to_string(&file)
            .map_err(|error| wrong(format!("cannot read {}: {error}", file.display())))?;
        let keys = serde_json::from_str::<Value>(&text).ok().filter(|set| set["keys"].is_array());
        members.insert("jwks".to_owned(), keys.ok_or_else(|| wrong("is not a JWK set: {\"keys\": […]}".to_owned()))?);
    }
    for (name, given) in [
        ("jwks_uri", details.jwks_uri),
        ("token_endpoint_auth_method", details.token_endpoint_auth_method.map(|method| method.as_str().to_owned())),
        ("owner", details.owner),
        ("signing_algorithm", details.signing_algorithm),
    ] {
        members.extend(given.map(|text| (name.to_owned(), Value::from(text))));
    }
    for (name, given) in
        [("skip_authorization", details.skip_authorization), ("resource_server", details.resource_server)]
    {
        members.extend(given.map(|mark| (name.to_owned(), Value::from(mark))));
    }
    let metadata = metadata_members(details.metadata)?;
    if !metadata.is_empty() {
        members.insert("metadata".to_owned(), metadata.into());
    }
    Ok(members)
}

/// The flags for client metadata, laid over `--metadata`.
fn metadata_members(given: Metadata) -> Result<Map<String, Value>, Failure> {
    let wrong = |error: serde_json::Error| Failure::Refused(format!("--metadata: {error}"));
    let mut members: Map<String, Value> =
        given.metadata.as_deref().map(serde_json::from_str).transpose().map_err(wrong)?.unwrap_or_default();
    for (name, given) in [
        ("access_token_format", given.access_token_format.map(serde_json::to_value)),
        ("pkce", given.pkce.map(serde_json::to_value)),
        ("subject_type", given.subject_type.map(serde_json::to_value)),
        ("require_pushed_authorization_requests", given.require_par.map(serde_json::to_value)),
        ("dpop_bound_access_tokens", given.dpop_bound.map(serde_json::to_value)),
        ("provider_tokens", given.provider_tokens.map(serde_json::to_value)),
        ("backchannel_logout_uri", given.backchannel_logout_uri.map(serde_json::to_value)),
        ("frontchannel_logout_uri", given.frontchannel_logout_uri.map(serde_json::to_value)),
    ] {
        if let Some(value) = given {
            members.insert(name.to_owned(), value.map_err(wrong)?);
        }
    }
    Ok(members)
}

async fn find(vestibule: &Vestibule, client_id: &str) -> Result<Application, Failure> {
    let found = application::find(&vestibule.context().db, client_id).await?;
    found.ok_or_else(|| {
        Failure::Refused(format!("no application has the client id `{client_id}`; `vestibule app list` shows all"))
    })
}

fn done(named: &Named, app: &Application, sentence: &str) {
    print(named.output, &registration::described(app), || format!("{} {sentence}", app.client_id));
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
