//! The server that is tested, a person's browser, and whether the server takes a token.

use std::error::Error;
use std::fmt::Display;
use std::process::Command;
use std::sync::LazyLock;

use oauth2::reqwest::blocking::Client;
use oauth2::reqwest::redirect::Policy;
use oauth2::{ErrorResponse, HttpClientError, HttpRequest, HttpResponse, RequestTokenError, SyncHttpClient, reqwest};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Server {
    pub issuer: String,
    pub issuer_by_another_name: String,
    pub person: Person,
    pub password: String,
    pub redirect_uri: String,
    pub post_logout_redirect_uri: String,
    pub web: Application,
    pub native: Application,
    browser: (String, String),
}

#[derive(Deserialize)]
pub struct Person {
    pub id: u64,
    pub username: String,
}

#[derive(Deserialize)]
pub struct Application {
    pub client_id: String,
    pub client_secret: Option<String>,
}

impl Application {
    pub fn secret(&self) -> String {
        self.client_secret.clone().expect("the application has a secret")
    }
}

pub static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let path = std::env::var("VESTIBULE_UNDER_TEST").expect("tests/third-party/run starts the server");
    let text = std::fs::read_to_string(path).expect("the file that describes the server");
    serde_json::from_str(&text).expect("what tests/third-party/run writes")
});

/// As both libraries advise: without redirects.
pub fn http() -> Client {
    Client::builder().redirect(Policy::none()).build().expect("an HTTP client")
}

/// For the one request that both libraries send by https only, without a switch: a revocation.
pub fn by_http_instead(mut request: HttpRequest) -> Result<HttpResponse, HttpClientError<reqwest::Error>> {
    let address = request.uri().to_string().replacen("https://", "http://", 1);
    *request.uri_mut() = address.parse().expect("an address");
    http().call(request)
}

/// Where a browser ends up that begins at this address.
pub fn walk(address: &str, options: &[&str]) -> String {
    let (program, script) = &SERVER.browser;
    let who = ["--username", &SERVER.person.username, "--password", &SERVER.password];
    let output = Command::new(program).args([script, address]).args(who).args(options).output();
    let output = output.expect("the browser starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A parameter of an address.
pub fn parameter(address: &str, name: &str) -> String {
    let url = reqwest::Url::parse(address).expect("an address");
    let found = url.query_pairs().find(|(own, _)| own == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {address}")).1.into_owned()
}

pub fn is_taken(access_token: &str) -> bool {
    let answer = http().get(format!("{}/userinfo", SERVER.issuer)).bearer_auth(access_token).send();
    match answer.expect("userinfo answers").status().as_u16() {
        200 => true,
        401 => false,
        other => panic!("userinfo: {other}"),
    }
}

/// The error with which the server has refused.
pub fn refusal<T, C, E>(outcome: Result<T, RequestTokenError<C, E>>) -> String
where
    C: Error + 'static,
    E: ErrorResponse + Display + 'static,
{
    match outcome {
        Err(RequestTokenError::ServerResponse(response)) => {
            response.to_string().split(':').next().unwrap_or_default().to_owned()
        }
        Err(other) => panic!("no refusal by the server: {other}"),
        Ok(_) => panic!("was not refused"),
    }
}
