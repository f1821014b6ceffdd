//! The tour: curl lines with real values in them, and the sign-ins that the values come from.
//!
//! Every line has tokens of a sign-in of its own, so that lines can be pasted in any order: revoking ends one
//! family, and those whose sessions are invalidated are nobody else's.
//! Not here: who takes part (`demo`), how it is printed (`dev`).

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded::byte_serialize;
use vestibule::Settings;
use vestibule_protocol::Scope;

use super::demo::Demo;
use super::provider::MOUNT;

/// Who signs in through the development provider.
const GUEST: &str = "grace";

/// Who does so only to be signed out everywhere.
const LEAVING_GUEST: &str = "alan";

/// One line.
#[derive(Serialize)]
pub struct Command {
    /// What it shows.
    pub title: &'static str,
    /// Begins with `curl `.
    pub command: String,
}

/// Where the server is, and how it is asked.
pub struct Tour<'a> {
    http: reqwest::Client,
    base_url: &'a str,
    /// The endpoints' address: the base URL and the mount.
    auth: String,
    /// Everything, so that userinfo and the API have all to say; form-encoded.
    scope: String,
    demo: &'a Demo,
}

/// A token answer's tokens, ours or the provider's.
struct Tokens(Value);

impl Tokens {
    fn text(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).and_then(Value::as_str).ok_or_else(|| format!("the tour's own sign-in got no {name}"))
    }

    fn access(&self) -> Result<&str, String> {
        self.text("access_token")
    }
}

impl<'a> Tour<'a> {
    /// A tour of the server at this address.
    ///
    /// # Errors
    /// When there is no client to ask it with.
    pub fn new(base_url: &'a str, settings: &Settings, demo: &'a Demo) -> Result<Self, String> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build();
        let http = client.map_err(|error| vestibule::describe(&error))?;
        let own = settings.scopes().into_iter().map(|(name, _)| name);
        let scope: Scope = ["openid", "profile", "email"].into_iter().chain(own).collect();
        let scope = byte_serialize(scope.to_string().as_bytes()).collect();
        let auth = format!("{base_url}{}", settings.mount.trim_end_matches('/'));
        Ok(Self { http, base_url, auth, scope, demo })
    }

    /// Signs in as often as the lines need it, and gives them.
    ///
    /// # Errors
    /// The server's answer to a sign-in that failed.
    pub async fn commands(&self) -> Result<Vec<Command>, String> {
        let Self { auth, base_url, .. } = self;
        let client = self.client();
        let by_password = self.by_password();
        let mut commands = Vec::new();
        let mut add = |title, command| commands.push(Command { title, command });

        add("Sign in by username and password", format!("curl -d '{client}&{by_password}' {auth}/token"));

        let tokens = self.sign_in().await?;
        let refresh = tokens.text("refresh_token")?;
        add(
            "Trade the refresh token for new tokens",
            format!("curl -d '{client}&grant_type=refresh_token&refresh_token={refresh}' {auth}/token"),
        );

        add(
            "Get tokens of the provider `dev`, as an app's sign-in button would",
            format!("curl -d 'username={GUEST}' {base_url}{MOUNT}/token"),
        );
        let provided = self.provided(GUEST).await?;
        let convert = format!("{client}&grant_type=convert_token&backend=dev");
        for (title, kind) in [
            ("Convert the provider's access token into tokens of this server", "access_token"),
            ("Convert the provider's ID token", "id_token"),
        ] {
            add(title, format!("curl -d '{convert}&token={}' {auth}/convert-token", provided.text(kind)?));
        }

        let tokens = self.sign_in().await?;
        let bearer = format!("-H 'Authorization: Bearer {}'", tokens.access()?);
        add("Call an API: who is it?", format!("curl {bearer} {auth}/userinfo"));
        add("Call an API behind a proxy: what the proxy is told", format!("curl -i {bearer} {auth}/verify"));
        let provided = self.provided(GUEST).await?;
        add(
            "Call it with the provider's own token",
            format!("curl -i -H 'Authorization: Bearer dev {}' {auth}/verify", provided.access()?),
        );

        add("Ask what a token is good for", format!("curl -d '{client}&token={}' {auth}/introspect", tokens.access()?));

        let tokens = self.sign_in().await?;
        add(
            "Sign out: revoke a token, and with it its sign-in",
            format!("curl -i -d '{client}&token={}' {auth}/revoke-token", tokens.access()?),
        );

        let tokens = self.convert(&self.provided(LEAVING_GUEST).await?).await?;
        add(
            "Sign out everywhere: every token that this person has for the application",
            format!(
                "curl -i -H 'Authorization: Bearer {}' -d 'client_id={}' {auth}/invalidate-sessions",
                tokens.access()?,
                self.demo.client_id
            ),
        );

        let tokens = self.convert(&self.provided(GUEST).await?).await?;
        add(
            "Which providers are there, and which are connected?",
            format!("curl -H 'Authorization: Bearer {}' {auth}/backends", tokens.access()?),
        );
        Ok(commands)
    }

    fn client(&self) -> String {
        format!("client_id={}&client_secret={}", self.demo.client_id, self.demo.client_secret)
    }

    fn by_password(&self) -> String {
        let person = &self.demo.person;
        format!("grant_type=password&username={}&password={}", person.username, person.password)
    }

    /// A sign-in of the person's by password.
    async fn sign_in(&self) -> Result<Tokens, String> {
        let form = format!("{}&{}&scope={}", self.client(), self.by_password(), self.scope);
        self.ask(&format!("{}/token", self.auth), form).await
    }

    /// What the development provider gives this person.
    async fn provided(&self, username: &str) -> Result<Tokens, String> {
        self.ask(&format!("{}{MOUNT}/token", self.base_url), format!("username={username}")).await
    }

    /// A sign-in with what the development provider gave.
    async fn convert(&self, provided: &Tokens) -> Result<Tokens, String> {
        let form = format!("{}&grant_type=convert_token&backend=dev&token={}", self.client(), provided.access()?);
        self.ask(&format!("{}/convert-token", self.auth), form).await
    }

    async fn ask(&self, url: &str, form: String) -> Result<Tokens, String> {
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let response = request.send().await.map_err(|error| vestibule::describe(&error))?;
        let status = response.status();
        let answer: Value = response.json().await.map_err(|error| vestibule::describe(&error))?;
        if !status.is_success() {
            return Err(format!("the tour's own request to {url} was answered {status}: {answer}"));
        }
        Ok(Tokens(answer))
    }
}
