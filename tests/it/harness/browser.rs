//! A real browser: Chromium without a window, spoken to by WebDriver's JSON protocol through chromedriver.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Whether the pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// Somebody's browser, with nothing in it.
pub struct Browser {
    http: reqwest::Client,
    port: u16,
    session: String,
    driver: Child,
    profile: TempDir,
}

/// How a member that names an element is called (WebDriver §12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
pub const ENTER: &str = "\u{e007}";
pub const TAB: &str = "\u{e004}";

/// How long an element is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Browser {
    pub async fn start(scripts: Scripts) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (driver, port) = (0..5).find_map(|_| driver()).expect("chromedriver says where it listens");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let user_data = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en",
            &user_data,
        ];
        let mut preferences = json!({ "intl.accept_languages": "en", "credentials_enable_service": false });
        preferences["download.default_directory"] = downloads(&profile).to_str().unwrap().into();
        if scripts == Scripts::Off {
            preferences["profile.managed_default_content_settings.javascript"] = 2.into();
        }
        let mut browser = Self { http, port, session: String::new(), driver, profile };
        let capabilities = json!({
            "browserName": "chrome",
            "timeouts": { "pageLoad": 30_000, "script": 30_000 },
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let begun = browser.post("", json!({ "capabilities": { "alwaysMatch": capabilities } })).await;
        browser.session = format!("/{}", begun["sessionId"].as_str().unwrap());
        browser
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, String> {
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        match answer["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }

    fn at(&self, command: &str) -> String {
        format!("http://127.0.0.1:{}/session{}{command}", self.port, self.session)
    }

    async fn get(&self, command: &str) -> Value {
        self.send(self.http.get(self.at(command))).await.unwrap()
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        self.send(self.http.post(self.at(command)).json(&body)).await.unwrap()
    }

    pub async fn goto(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub async fn url(&self) -> String {
        self.get("/url").await.as_str().unwrap().to_owned()
    }

    pub async fn title(&self) -> String {
        self.get("/title").await.as_str().unwrap().to_owned()
    }

    /// The first element of this kind, as soon as there is one.
    pub async fn find(&self, css: &str) -> String {
        let query = json!({ "using": "css selector", "value": css });
        let started = tokio::time::Instant::now();
        loop {
            match self.send(self.http.post(self.at("/element")).json(&query)).await {
                Ok(found) => return found[ELEMENT].as_str().unwrap().to_owned(),
                Err(_) if started.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("no {css} at {}, {error}:\n{}", self.url().await, self.get("/source").await),
            }
        }
    }

    /// Whether there is such an element now.
    pub async fn has(&self, css: &str) -> bool {
        let found = self.script("return document.querySelector(arguments[0]) !== null", &[css.into()]).await;
        found.as_bool().unwrap()
    }

    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Clicks on what leads to another page, and waits for that.
    pub async fn follow(&self, css: &str) {
        self.replace("html", css).await;
    }

    /// Clicks on what puts something else in the place of a part of the page, and waits for that.
    pub async fn replace(&self, part: &str, css: &str) {
        let part = self.find(part).await;
        self.click(css).await;
        let started = tokio::time::Instant::now();
        while self.send(self.http.get(self.at(&format!("/element/{part}/name")))).await.is_ok() {
            assert!(started.elapsed() < PATIENCE, "{css} leads nowhere: {:#?}", self.console().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types into a field what it should hold.
    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.post(&format!("/element/{element}/clear"), json!({})).await;
        self.post(&format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// Types where the focus is, as a keyboard would.
    pub async fn press(&self, keys: &str) {
        let strokes =
            keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>() });
        self.post("/actions", json!({ "actions": [keyboard] })).await;
    }

    pub async fn text(&self, css: &str) -> String {
        let element = self.find(css).await;
        self.get(&format!("/element/{element}/text")).await.as_str().unwrap().to_owned()
    }

    pub async fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let element = self.find(css).await;
        self.get(&format!("/element/{element}/attribute/{name}")).await.as_str().map(str::to_owned)
    }

    /// What a function with this body returns, or what its promise comes to. It runs where pages may run no scripts too.
    pub async fn script(&self, body: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", json!({ "script": body, "args": arguments })).await
    }

    /// Plugs in an authenticator that holds passkeys, whose person is there and says yes (WebAuthn §11).
    pub async fn plug_in_authenticator(&self) -> String {
        let authenticator = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserConsenting": true,
            "isUserVerified": true,
        });
        self.post("/webauthn/authenticator", authenticator).await.as_str().unwrap().to_owned()
    }

    /// Whether the authenticator knows its person from now on.
    pub async fn verify_user(&self, authenticator: &str, is_verified: bool) {
        let body = json!({ "isUserVerified": is_verified });
        self.post(&format!("/webauthn/authenticator/{authenticator}/uv"), body).await;
    }

    /// How many passkeys the authenticator holds.
    pub async fn passkeys(&self, authenticator: &str) -> usize {
        self.get(&format!("/webauthn/authenticator/{authenticator}/credentials")).await.as_array().unwrap().len()
    }

    /// What a download gave that is called so at its end, as soon as it is whole.
    pub async fn downloaded(&self, ending: &str) -> String {
        let started = tokio::time::Instant::now();
        loop {
            let files = std::fs::read_dir(downloads(&self.profile)).into_iter().flatten();
            let mut paths = files.map(|file| file.unwrap().path());
            if let Some(path) = paths.find(|path| path.to_string_lossy().ends_with(ending)) {
                return std::fs::read_to_string(path).unwrap();
            }
            assert!(started.elapsed() < PATIENCE, "no {ending} came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Forgets the cookies of the page's site.
    pub async fn forget(&self) {
        self.send(self.http.delete(self.at("/cookie"))).await.unwrap();
    }

    /// Into the page's first frame, until it goes elsewhere.
    pub async fn enter_frame(&self) {
        self.post("/frame", json!({ "id": 0 })).await;
    }

    /// A command of Chromium's own protocol.
    async fn command(&self, name: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": name, "params": parameters })).await
    }

    /// As on a screen of this width, in the light or in the dark.
    pub async fn look_like(&self, width: u32, scheme: &str) {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size).await;
        self.command("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// The whole page, as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        let taken = self.command("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// What the console says since it was asked last.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" })).await;
        entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Nothing of a page ran against its policy.
    pub async fn was_content(&self) {
        let complaints = self.console().await;
        assert!(!complaints.iter().any(|line| line.contains("Content Security Policy")), "{complaints:#?}");
    }
}

/// Where a browser with this profile puts its downloads.
fn downloads(profile: &TempDir) -> PathBuf {
    profile.path().join("downloads")
}

/// A chromedriver, and where it listens. It ends at once where the port that it was given on IPv4 is taken on IPv6.
fn driver() -> Option<(Child, u16)> {
    let mut command = Command::new("chromedriver");
    let command = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = command.spawn().expect("chromedriver is there: `tests/set-up test` installs it");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // Whoever writes to a closed pipe ends.
    std::thread::spawn(move || lines.for_each(drop));
    if port.is_none() {
        driver.wait().unwrap();
    }
    port.map(|port| (driver, port))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium outlives a chromedriver that is killed, so it is told to quit first.
        if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = socket.set_read_timeout(Some(Duration::from_secs(10)));
            let path = format!("/session{}", self.session);
            let _ = write!(socket, "DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
            let _ = socket.read(&mut [0; 512]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
