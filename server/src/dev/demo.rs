//! Who takes part in the tour on our side: a superuser, a person and an application, made by the library's own functions.
//!
//! In a database that was there before they have names that say where they come from; there they are found again at the
//! next start, and get new secrets.
//! Not here: the people at the development provider, who need no making (`person`).

use vestibule::client::hash_secret;
use vestibule::context::{Context, random};
use vestibule::identity::sign_in::hash_error;
use vestibule::store::application::{self, Application};
use vestibule::store::user::{self, NewUser};
use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError, PlainToken, TokenKind};

use super::provider::random_text;

/// The application and the people, with their secrets in clear: they are about to be printed.
pub struct Demo {
    /// The application's client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Who may do everything.
    pub superuser: Login,
    /// Somebody.
    pub person: Login,
}

/// A way to sign in.
pub struct Login {
    /// See [`user::User`].
    pub username: String,
    /// In clear.
    pub password: String,
}

/// Makes them, or gives those of an earlier start new secrets. `prefix` comes before every name.
///
/// # Errors
/// What the database says.
pub async fn set_up(cx: &Context, prefix: &str) -> Result<Demo, OAuthError> {
    let admin = NewUser { username: format!("{prefix}admin"), is_superuser: true, ..NewUser::default() };
    let ada = NewUser {
        username: format!("{prefix}ada"),
        email: "ada@example.com".to_owned(),
        email_verified: true,
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        ..NewUser::default()
    };
    let (superuser, person) = (login(cx, admin).await?, login(cx, ada).await?);
    let secret = PlainToken::new(TokenKind::ClientSecret, &random());
    let application = demo_application(format!("{prefix}demo"), secret.reveal());
    let (client_id, now) = (application.client_id.clone(), cx.clock.now());
    if application::create(&cx.db, &application, now).await?.is_none() {
        let before = application::find(&cx.db, &client_id).await?.ok_or_else(changed_meanwhile)?;
        let renewed = Application { id: before.id, ..application };
        application::update(&cx.db, &renewed, now).await?.ok_or_else(changed_meanwhile)?;
    }
    Ok(Demo { client_id, client_secret: secret.reveal().to_owned(), superuser, person })
}

async fn login(cx: &Context, new: NewUser) -> Result<Login, OAuthError> {
    let mut password = random_text();
    password.truncate(20); // 120 bits
    let encoded = Some(cx.hasher.hash(&password, random()).await.map_err(hash_error)?);
    let username = new.username.clone();
    if user::create(&cx.db, NewUser { password: encoded.clone(), ..new }, cx.clock.now()).await?.is_none() {
        let before = user::find_by_username(&cx.db, &username).await?.ok_or_else(changed_meanwhile)?;
        user::set_password(&cx.db, before.id, encoded).await?;
        user::set_active(&cx.db, before.id, true).await?;
    }
    Ok(Login { username, password })
}

fn demo_application(client_id: String, secret: &str) -> Application {
    let name = format!("{client_id} (made by `vestibule dev`)");
    Application {
        secret_hash: Some(hash_secret(secret)),
        grant_types: vec![
            GrantType::Password,
            GrantType::ConvertToken,
            GrantType::RefreshToken,
            GrantType::ClientCredentials,
        ],
        ..Application::new(client_id, name, ClientType::Confidential)
    }
}

fn changed_meanwhile() -> OAuthError {
    OAuthError::new(ErrorCode::ServerError, "somebody else changes the same accounts at this moment")
}
