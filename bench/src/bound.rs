//! What bounds a path: a handler that does nothing, a hash, a signature.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};

/// Where the bare handler listens.
pub const BARE_ADDRESS: &str = "127.0.0.1:18999";

/// As many bytes as introspection answers.
const BODY: &str = r#"{"active":true,"scope":"read write","client_id":"0123456789abcdef0123456789abcdef","username":"ada","token_type":"Bearer","exp":1795551891,"iat":1795515891,"sub":"1","iss":"http://127.0.0.1:8000/auth"}"#;

/// The bare handler, in a process of its own as Vestibule is.
pub struct BareHandler(Child);

impl BareHandler {
    /// Starts it, and waits until it answers.
    pub fn start() -> Self {
        let child =
            Command::new(std::env::current_exe().unwrap()).arg("bare-handler").stdin(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::net::TcpStream::connect(BARE_ADDRESS).is_err() {
            assert!(Instant::now() < deadline, "the bare handler did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(child)
    }
}

impl Drop for BareHandler {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// axum with nothing in it: a GET without a body, a POST whose body is read and answered with JSON.
pub fn serve_bare_handler() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(BARE_ADDRESS).await.unwrap();
        let answer = |_body: String| async { ([(CONTENT_TYPE, "application/json")], BODY) };
        let bytes = |Path(count): Path<usize>| async move { "x".repeat(count) };
        let router = Router::new()
            .route("/get", get(|| async {}))
            .route("/bytes/{count}", get(bytes))
            .route("/post", post(answer));
        axum::serve(listener, router).await.unwrap();
    });
}

/// How often a second, on every core together.
pub fn on_every_core(time: Duration, work: fn(Instant) -> usize) -> f64 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    let counts = (0..threads).map(|_| std::thread::spawn(move || work(started + time))).collect::<Vec<_>>();
    let total: usize = counts.into_iter().map(|thread| thread.join().unwrap()).sum();
    total as f64 / started.elapsed().as_secs_f64()
}

/// Argon2id hashes until then.
pub fn hashes(end: Instant) -> usize {
    let params = Params::new(19_456, 2, 1, None).unwrap();
    let mut blocks = vec![argon2::Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut count = 0;
    while Instant::now() < end {
        let mut out = [0; 32];
        argon2.hash_password_into_with_memory(b"correct horse", b"0123456789abcdef", &mut out, &mut blocks).unwrap();
        count += 1;
    }
    count
}

/// RS256 signatures until then, by one key of 2048 bits.
pub fn signatures(end: Instant) -> usize {
    static KEY: std::sync::LazyLock<RsaKeyPair> = std::sync::LazyLock::new(|| {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        RsaKeyPair::from_pkcs8(aws_lc_rs::encoding::AsDer::as_der(&pair).unwrap().as_ref()).unwrap()
    });
    let random = aws_lc_rs::rand::SystemRandom::new();
    let mut signature = vec![0; KEY.public_modulus_len()];
    let mut count = 0;
    while Instant::now() < end {
        KEY.sign(&RSA_PKCS1_SHA256, &random, b"header.claims", &mut signature).unwrap();
        count += 1;
    }
    count
}
