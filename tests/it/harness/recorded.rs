//! Any provider of the catalog, as its entry and one of its examples describe it: every address that the entry names, on one
//! socket of this machine. What it answers is what was recorded; what it is asked must be what the entry says.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use vestibule::protocol::key_set::Algorithm;
use vestibule::protocol::provider::{
    Answer, AudienceSource, Entry, Example, Setting, SettingKind, Template, TokenPlace, Variables,
};

pub const CLIENT_ID: &str = "our-client";
pub const SECRET: &str = "our-secret";
pub const TOKEN: &str = "the-access-token";
pub const CODE: &str = "the-code";

/// The socket.
#[derive(Clone)]
pub struct Recorded {
    pub base: String,
    state: Arc<Shared>,
}

struct Shared {
    /// What is answered at `host/path`.
    answers: Mutex<HashMap<String, Reply>>,
    /// Where a code is redeemed.
    token_endpoint: Mutex<String>,
    code: Mutex<Option<String>>,
    wrong: Mutex<Vec<String>>,
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

#[derive(Clone)]
enum Reply {
    Json(Value),
    Header(String, String),
}

/// What an example says, put together for templates.
pub struct Scene<'a> {
    pub entry: &'a Entry,
    example: &'a Example,
    settings: BTreeMap<String, Setting>,
    context: Answer,
}

impl Recorded {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared {
            answers: Mutex::default(),
            token_endpoint: Mutex::default(),
            code: Mutex::default(),
            wrong: Mutex::default(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap(),
        });
        let router = axum::Router::new().fallback(answer).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, state }
    }

    /// From now on it is this provider, in this scene, with a good code.
    pub fn play(&self, scene: &Scene<'_>, nonce: Option<&str>) {
        let mut answers = HashMap::new();
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let example_answer = parse(&scene.example.answer);
        let rule = &scene.entry.userinfo;
        if let Some(url) = &scene.entry.endpoints.userinfo {
            answers.insert(place(&scene.url(url)), reply(&rule.answer_header, example_answer.clone()));
        }
        for request in &scene.entry.profile {
            let member = request.membership.then_some("{}");
            let Some(text) = scene.example.answers.get(&request.name).map(String::as_str).or(member) else { continue };
            if let Ok(url) = scene.try_url(&request.url) {
                answers.insert(place(&url), reply(&request.rule.answer_header, parse(text)));
            }
        }
        answers.extend(self.audience(scene, CLIENT_ID));
        let issuer = scene.issuer();
        if let Some(discovery) = scene.discovery() {
            let own = |path: &str| format!("https://discovered.example/{path}");
            let document = json!({
                "issuer": scene.entry.issuer.as_ref().map_or(issuer.clone(), |template| scene.text(template)),
                "authorization_endpoint": own("authorize"), "token_endpoint": own("token"),
                "userinfo_endpoint": own("userinfo"), "jwks_uri": own("jwks"),
            });
            answers.insert(place(&discovery), Reply::Json(document));
            answers.insert(place(&own("userinfo")), Reply::Json(example_answer.clone()));
            answers.insert(place(&own("jwks")), Reply::Json(self.jwks()));
        }
        if let Some(jwks) = &scene.entry.endpoints.jwks {
            answers.insert(place(&scene.url(jwks)), Reply::Json(self.jwks()));
        }
        let token = match &scene.entry.endpoints.token {
            Some(template) => scene.url(template),
            None => "https://discovered.example/token".to_owned(),
        };
        answers.insert(place(&token), Reply::Json(self.token_answer(scene, nonce)));
        *self.state.answers.lock().unwrap() = answers;
        *self.state.token_endpoint.lock().unwrap() = place(&token);
        *self.state.code.lock().unwrap() = Some(scene.name(&scene.entry.token.names, "code").to_owned());
    }

    /// What the token endpoint answers.
    fn token_answer(&self, scene: &Scene<'_>, nonce: Option<&str>) -> Value {
        let recorded = scene.example.answers.get("token_answer");
        let mut answer: Value = recorded.map_or_else(|| json!({}), |text| serde_json::from_str(text).unwrap());
        let members = answer.as_object_mut().unwrap();
        let itself = scene.entry.access_token.place == TokenPlace::Itself;
        let token = if itself { self.sign(scene, scene.claims(None)) } else { TOKEN.to_owned() };
        let path = scene.entry.token.access_token.as_ref().map_or("access_token", |path| path.source());
        put(members, path, token.into());
        if scene.entry.takes_id_tokens() && scene.entry.authorize.nonce != Some(false) {
            members.insert("id_token".into(), self.sign(scene, scene.claims(nonce)).into());
        }
        match &scene.entry.token.answer {
            // `{ours: theirs, …}`: the members have other names there.
            Some(path) if path.source().starts_with('{') => {
                let pairs = path.source().trim_matches(['{', '}']).split(',');
                let pairs = pairs.filter_map(|pair| pair.split_once(':'));
                let named = pairs
                    .filter_map(|(ours, theirs)| Some((theirs.trim().to_owned(), answer.get(ours.trim())?.clone())));
                Value::Object(named.collect())
            }
            Some(path) => {
                let mut outer = Map::new();
                put(&mut outer, path.source(), answer);
                Value::Object(outer)
            }
            None => answer,
        }
    }

    /// The provider says for whom the token was made.
    pub fn say_audience(&self, scene: &Scene<'_>, audience: &str) {
        self.state.answers.lock().unwrap().extend(self.audience(scene, audience));
    }

    fn audience(&self, scene: &Scene<'_>, audience: &str) -> Option<(String, Reply)> {
        let check = scene.entry.audience.as_ref().filter(|check| check.source == AudienceSource::Request)?;
        let mut members = Map::new();
        let audience = match &check.is_setting {
            Some(setting) if audience == CLIENT_ID => scene.settings.get(setting)?.text(),
            _ => audience,
        };
        put(&mut members, check.audience.as_ref()?.source(), audience.into());
        if let Some(subject) = &check.subject {
            put(&mut members, subject.source(), scene.example.profile.uid.clone().into());
        }
        if let Some(valid) = &check.valid {
            put(&mut members, valid.source(), true.into());
        }
        if let Some(expires_at) = &check.expires_at {
            put(&mut members, expires_at.source(), 4_102_444_800_i64.into());
        }
        if let Some(expires_in) = &check.expires_in {
            put(&mut members, expires_in.source(), 3_600.into());
        }
        let url = scene.url(check.url.as_ref().unwrap());
        // Where the same address is user info, both are in one answer.
        Some((place(&url), Reply::Json(Value::Object(members))))
    }

    fn sign(&self, scene: &Scene<'_>, claims: Value) -> String {
        let takes_ec = scene.entry.id_token.algorithms.contains(&Algorithm::ES256);
        let header = match takes_ec {
            true => json!({"alg": "ES256", "typ": "JWT", "kid": "ec"}),
            false => json!({"alg": "RS256", "typ": "JWT", "kid": "rsa"}),
        };
        let signed = super::issuer::unsigned(&header, &claims);
        let random = SystemRandom::new();
        let signature = match takes_ec {
            true => self.state.ec.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            false => {
                let mut signature = vec![0; self.state.rsa.public_modulus_len()];
                self.state.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwks(&self) -> Value {
        let point = self.state.ec.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        let rsa = self.state.rsa.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "x": part(1..33), "y": part(33..65)},
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": number(rsa.modulus().big_endian_without_leading_zero()),
             "e": number(rsa.exponent().big_endian_without_leading_zero())},
        ]})
    }

    /// What was asked that nobody answers, since the last time.
    pub fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.state.wrong.lock().unwrap())
    }
}

impl<'a> Scene<'a> {
    pub fn new(entry: &'a Entry, example: &'a Example) -> Self {
        let mut settings = BTreeMap::new();
        for (name, rule) in &entry.settings {
            let value = example.settings.get(name).or(rule.default.as_ref()).cloned();
            let value = value.or_else(|| (!rule.optional).then(|| made_up(name, rule.kind)));
            if let Some(value) = value {
                settings.insert(name.clone(), rule.kind.read(&value).unwrap());
            }
        }
        let shown = settings.iter().filter_map(|(name, value)| Some((name.clone(), value.shown()?)));
        let shown = Value::Object(shown.collect());
        let parse = |text: &String| serde_json::from_str::<Value>(text).unwrap();
        let mut further: Vec<_> = example.answers.iter().map(|(name, text)| (name.clone(), parse(text))).collect();
        further.push(("settings".to_owned(), shown));
        further.push(("access_token".to_owned(), TOKEN.into()));
        let root = match parse(&example.answer) {
            Value::Object(root) => root,
            list => Map::from_iter([("list".to_owned(), list)]),
        };
        Self { entry, example, settings, context: Answer::new(root, further) }
    }

    fn variables(&self) -> Variables<'_> {
        Variables {
            token: TOKEN,
            client_id: CLIENT_ID,
            client_secret: SECRET,
            settings: &self.settings,
            answer: &self.context,
        }
    }

    fn try_url(&self, template: &Template) -> Result<String, String> {
        template.url(&self.variables()).map_err(|error| error.to_string())
    }

    fn url(&self, template: &Template) -> String {
        self.try_url(template).unwrap_or_else(|error| panic!("{}: {error}", self.entry.name))
    }

    fn text(&self, template: &Template) -> String {
        template.plain(&self.variables()).unwrap_or_else(|error| panic!("{}: {error}", self.entry.name))
    }

    fn discovery(&self) -> Option<String> {
        match (&self.entry.discovery, &self.entry.issuer) {
            (Some(discovery), _) => Some(self.url(discovery)),
            (None, Some(issuer)) => {
                Some(format!("{}/.well-known/openid-configuration", self.text(issuer).trim_end_matches('/')))
            }
            (None, None) => None,
        }
    }

    /// Who signs: the entry's issuer, else the one of the recorded claims.
    fn issuer(&self) -> String {
        let recorded: Value = serde_json::from_str(&self.example.answer).unwrap();
        let recorded = recorded.get("iss").and_then(Value::as_str);
        match (&self.entry.issuer, recorded) {
            (Some(issuer), _) => self.text(issuer),
            (None, Some(recorded)) => recorded.to_owned(),
            (None, None) => "https://issuer.example".to_owned(),
        }
    }

    /// The claims of an ID token in this scene.
    fn claims(&self, nonce: Option<&str>) -> Value {
        let recorded = self.example.answers.get("id_token").unwrap_or(&self.example.answer);
        let mut claims: Value = serde_json::from_str(recorded).unwrap();
        if !self.entry.id_token.complete && !self.example.answers.contains_key("id_token") {
            let sub = claims.get("sub").cloned();
            if self.entry.access_token.place != TokenPlace::Itself {
                claims = json!({ "sub": sub.unwrap_or_else(|| self.example.profile.uid.clone().into()) });
            }
        }
        let more =
            json!({"iss": self.issuer(), "aud": CLIENT_ID, "exp": 4_102_444_800_i64, "iat": super::recorded::now()});
        let members = claims.as_object_mut().unwrap();
        members.remove("at_hash");
        members.extend(more.as_object().unwrap().clone());
        if let Some(nonce) = nonce {
            let hashed = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, nonce.as_bytes());
            let hexadecimal = hashed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let plain = self.entry.id_token.nonce == vestibule::protocol::provider::NonceForm::Plain;
            members.insert("nonce".into(), if plain { nonce.to_owned() } else { hexadecimal }.into());
        }
        claims
    }

    fn name<'n>(&self, names: &'n BTreeMap<String, String>, name: &'n str) -> &'n str {
        names.get(name).map_or(name, String::as_str)
    }

    /// Every origin that the entry's addresses have in this scene.
    pub fn origins(&self) -> Vec<String> {
        let entry = self.entry;
        let endpoints = [&entry.endpoints.token, &entry.endpoints.userinfo, &entry.endpoints.jwks];
        let templates = endpoints.into_iter().flatten();
        let templates = templates.chain(entry.profile.iter().map(|request| &request.url));
        let templates = templates.chain(entry.audience.iter().filter_map(|check| check.url.as_ref()));
        let urls = templates.filter_map(|template| self.try_url(template).ok()).chain(self.discovery());
        let urls = urls.chain(["https://discovered.example/".to_owned()]);
        urls.map(|url| url::Url::parse(&url).unwrap().origin().ascii_serialization()).collect()
    }

    /// The settings as an operator writes them.
    pub fn written(&self) -> toml::Table {
        let of = |(name, rule): (&String, &vestibule::protocol::provider::SettingRule)| {
            let given = self.example.settings.get(name).cloned();
            let must = || (rule.default.is_none() && !rule.optional).then(|| made_up(name, rule.kind));
            Some((name.clone(), given.or_else(must)?))
        };
        self.entry.settings.iter().filter_map(of).collect()
    }

    /// What the example's browser brought beside the code.
    pub fn beside(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let of = |name: &str| self.example.answers.get(name).map(|text| serde_json::from_str::<Value>(text).unwrap());
        let both = [of("callback"), of("request")].into_iter().flatten();
        let members = both.filter_map(|value| value.as_object().cloned()).flatten();
        members
            .map(|(name, value)| (name, text(&value)))
            .filter(|(name, _)| name != "code" && name != "state")
            .collect()
    }
}

/// A value for a setting that the example leaves open.
fn made_up(name: &str, kind: SettingKind) -> toml::Value {
    match kind {
        SettingKind::Host => format!("{}.example", name.replace('_', "-")).into(),
        SettingKind::Url => format!("https://{}.example", name.replace('_', "-")).into(),
        SettingKind::List => vec!["a"].into(),
        SettingKind::Flag => false.into(),
        SettingKind::Table => toml::Table::new().into(),
        SettingKind::Word | SettingKind::Text | SettingKind::Secret => "made-up".into(),
    }
}

/// Puts a value where a simple path leads: the first of several.
fn put(members: &mut Map<String, Value>, path: &str, value: Value) {
    let first = path.trim_start_matches('[').split([',', '|', '=', ']']).next().unwrap().trim();
    let (head, rest) = first.split_once('.').map_or((first, None), |(head, rest)| (head, Some(rest)));
    let head = head.trim_matches('"').to_owned();
    match rest {
        None => drop(members.insert(head, value)),
        Some(rest) => {
            let inner = members.entry(head).or_insert_with(|| json!({}));
            put(inner.as_object_mut().unwrap(), rest, value);
        }
    }
}

pub fn now() -> i64 {
    vestibule::clock::Clock::default().now()
}

/// `host/path` of an address.
fn place(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    format!("{}{}", url.host_str().unwrap(), url.path())
}

fn reply(header: &Option<String>, value: Value) -> Reply {
    match (header, value) {
        (Some(name), Value::Object(members)) => {
            Reply::Header(name.clone(), members["answer_header"].as_str().unwrap().to_owned())
        }
        (Some(name), Value::String(text)) => Reply::Header(name.clone(), text),
        (_, value) => Reply::Json(value),
    }
}

async fn answer(State(state): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
    let at = parts.uri.path().trim_start_matches('/').to_owned();
    let query = parts.uri.query().unwrap_or_default();
    if *state.token_endpoint.lock().unwrap() == at {
        // A code is good once, and only if it was sent under the name that the provider knows.
        let text = String::from_utf8_lossy(&body);
        let sent = format!("&{query}&{text}");
        let mut code = state.code.lock().unwrap();
        let in_form = code.as_ref().is_some_and(|name| sent.contains(&format!("&{name}={CODE}")));
        let in_json = code.as_ref().is_some_and(|name| text.contains(&format!("\"{name}\":\"{CODE}\"")));
        if !in_form && !in_json {
            return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
        }
        *code = None;
    }
    let reply = state.answers.lock().unwrap().get(&at).cloned();
    match reply {
        Some(Reply::Json(value)) => Json(value).into_response(),
        Some(Reply::Header(name, value)) => {
            let name = axum::http::HeaderName::try_from(name).unwrap();
            ([(name, value)], Json(json!({}))).into_response()
        }
        None => {
            state.wrong.lock().unwrap().push(format!("{} {at}", parts.method));
            (StatusCode::NOT_FOUND, Json(json!({"error": "nobody answers here"}))).into_response()
        }
    }
}
