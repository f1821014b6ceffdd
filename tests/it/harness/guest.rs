//! A browser without JavaScript, as far as our pages need one: cookies, redirects that are looked at one by one, forms that
//! are filled in and posted as they are.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Answer, App, PASSWORD, Test};

/// Somebody's browser.
pub struct Guest<'t> {
    t: &'t Test,
    cookies: Mutex<BTreeMap<String, String>>,
    /// Sent with every request.
    pub headers: Mutex<Vec<(&'static str, String)>>,
}

/// A form of a page.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// The verifier of RFC 7636 appendix B, and its challenge.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const CALLBACK: &str = "https://app.example/cb";

impl<'t> Guest<'t> {
    pub fn new(t: &'t Test) -> Self {
        Self { t, cookies: Mutex::default(), headers: Mutex::default() }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) };
        for (name, value) in self.headers.lock().unwrap().iter() {
            request = request.header(*name, value);
        }
        let answer = Answer::of(request).await;
        for set in answer.headers.get_all("set-cookie") {
            let text = set.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            match text.contains("Max-Age=0") {
                true => cookies.remove(name),
                false => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.t.http.get(self.at(path))).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(self.t.http.post(self.at(path)).form(fields)).await
    }

    fn at(&self, path: &str) -> String {
        match path.starts_with("http") {
            true => path.to_owned(),
            false => self.t.url(path),
        }
    }

    /// Follows redirects to this server; one that leads elsewhere, or a page, is the answer.
    pub async fn follow(&self, mut answer: Answer) -> Answer {
        for _ in 0..10 {
            let location = answer.header("location");
            let is_ours = location.starts_with('/') || location.starts_with(&self.t.base);
            if !is_ours {
                return answer;
            }
            answer = self.get(&location).await;
        }
        panic!("redirected too often");
    }

    /// Opens an address and follows.
    pub async fn open(&self, path: &str) -> Answer {
        self.follow(self.get(path).await).await
    }

    /// Posts a form with these fields over its own, and follows.
    pub async fn submit(&self, form: &Form, fields: &[(&str, &str)]) -> Answer {
        self.follow(self.submit_only(form, fields).await).await
    }

    /// Posts a form with these fields over its own.
    pub async fn submit_only(&self, form: &Form, fields: &[(&str, &str)]) -> Answer {
        let mut all: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !fields.iter().any(|(own, _)| own == name))
            .collect();
        all.extend(fields);
        self.post(&form.action, &all).await
    }

    /// Signs in on the page that asks for it, and goes where that leads.
    pub async fn sign_in(&self, page: &Answer, username: &str) -> Answer {
        self.submit(&page.form(), &[("username", username), ("password", PASSWORD)]).await
    }

    /// Signs in for no application.
    pub async fn enter(&self, username: &str) {
        let page = self.get("/account/sign-in").await;
        let answer = self.submit_only(&page.form(), &[("username", username), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
    }

    /// As a browser that a page of ours leads on.
    pub fn comes_from_here(&self) {
        *self.headers.lock().unwrap() = vec![("sec-fetch-site", "same-origin".to_owned())];
    }

    /// As a browser that another site leads here.
    pub fn comes_from_elsewhere(&self) {
        *self.headers.lock().unwrap() = vec![("sec-fetch-site", "cross-site".to_owned())];
    }

    /// An authorization request of this application, with PKCE, and these parameters over the usual ones.
    pub async fn authorize(&self, app: &App, params: &[(&str, &str)]) -> Answer {
        self.open(&request_url(app, params)).await
    }

    /// Agrees on the consent page.
    pub async fn allow(&self, page: &Answer) -> Answer {
        self.submit(&page.form(), &[("decision", "allow")]).await
    }

    /// The code of an authorization request, whatever pages stand before it.
    pub async fn code(&self, app: &App, username: &str, params: &[(&str, &str)]) -> String {
        let mut answer = self.authorize(app, params).await;
        if answer.text.contains("name=\"password\"") {
            answer = self.sign_in(&answer, username).await;
        }
        if answer.text.contains("name=\"decision\"") {
            answer = self.allow(&answer).await;
        }
        let code = answer.sent("code");
        assert!(!code.is_empty(), "{answer:?} {:?}", answer.header("location"));
        code
    }
}

/// The address of an authorization request.
pub fn request_url(app: &App, params: &[(&str, &str)]) -> String {
    let usual = [
        ("response_type", "code"),
        ("client_id", app.client_id.as_str()),
        ("redirect_uri", CALLBACK),
        ("state", "its-state"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in usual.iter().filter(|(name, _)| !params.iter().any(|(own, _)| own == name)).chain(params) {
        // A parameter set to nothing is left out.
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    format!("authorize?{}", query.finish())
}

impl Answer {
    /// The first form of a page that has a field beside its token.
    pub fn form(&self) -> Form {
        let forms: Vec<Form> = self.text.split("<form ").skip(1).map(Form::read).collect();
        assert!(!forms.is_empty(), "no form on {self:?}");
        // The last one: what stands before it is for whoever is signed in already.
        forms.last().unwrap().clone()
    }

    /// Every form of a page.
    pub fn forms(&self) -> Vec<Form> {
        self.text.split("<form ").skip(1).map(Form::read).collect()
    }

    /// A member of what the browser is sent to the client with: in the query, the fragment, or a form.
    pub fn sent(&self, name: &str) -> String {
        let location = self.header("location");
        let members = location.split_once('#').or_else(|| location.split_once('?')).map(|(_, members)| members);
        if let Some(members) = members {
            let found = url::form_urlencoded::parse(members.as_bytes()).find(|(own, _)| own == name);
            return found.map(|(_, value)| value.into_owned()).unwrap_or_default();
        }
        let form = self.text.split("<form ").nth(1).map(Form::read);
        let fields = form.map(|form| form.fields).unwrap_or_default();
        fields.into_iter().find(|(own, _)| own == name).map(|(_, value)| value).unwrap_or_default()
    }

    /// The address behind a link or a button of a page that has these words.
    pub fn link(&self, words: &str) -> String {
        let mut links = self.text.split("<a ").skip(1).map(|link| link.split("</a>").next().unwrap());
        let link =
            links.find(|link| unescaped(link).contains(words)).unwrap_or_else(|| panic!("no {words} on {self:?}"));
        unescaped(link.split("href=\"").nth(1).unwrap().split('"').next().unwrap())
    }

    /// What a page says went wrong, and its word.
    pub fn setback(&self) -> (u16, String, String) {
        let between = |from: &str, to: &str| {
            self.text.split(from).nth(1).unwrap_or_default().split(to).next().unwrap().to_owned()
        };
        (self.status, between("<code>", "</code>"), unescaped(&between("role=\"alert\">", "</p>")))
    }

    /// Whether this is a page of ours that refuses, and leads nowhere.
    /// A page that says what went wrong, whoever's fault it is.
    pub fn is_setback(&self) -> bool {
        (400..600).contains(&self.status)
            && self.header("location").is_empty()
            && self.header("content-type").starts_with("text/html")
            && self.text.contains("role=\"alert\"")
    }

    pub fn is_error_page(&self) -> bool {
        (400..500).contains(&self.status)
            && self.header("location").is_empty()
            && self.header("content-type").starts_with("text/html")
            && self.text.contains("role=\"alert\"")
    }
}

impl Form {
    fn read(html: &str) -> Self {
        let html = html.split("</form>").next().unwrap();
        let attribute = |tag: &str, name: &str| -> Option<String> {
            let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
            Some(unescaped(rest.split('"').next()?))
        };
        let head = format!(" {}", html.split('>').next().unwrap());
        let fields = html
            .split("<input")
            .skip(1)
            .map(|tag| tag.split('>').next().unwrap())
            .filter(|tag| tag.contains("type=\"hidden\""))
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
            .collect();
        Self { action: attribute(&head, "action").unwrap_or_default(), fields }
    }
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&#x2f;", "/").replace("&#x27;", "'").replace("&quot;", "\"");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
