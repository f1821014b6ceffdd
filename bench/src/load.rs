//! A closed loop over keep-alive connections: each sends its next request when the last one is answered.
//!
//! HTTP/1.1 by hand, so that the generator costs less than what it measures on the same two cores.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a loop found.
pub struct Measured {
    /// Answers a second.
    pub per_second: f64,
    /// Half of the answers came within so many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 did.
    pub p99_ms: f64,
}

/// What to send.
pub trait Load {
    /// Makes so many requests ready, for a load whose requests can be sent once only.
    fn make_ready(&self, _count: usize) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    /// Where to.
    fn address(&self) -> &str;
    /// The next request of a connection.
    fn request(&self, connection: usize) -> String;
    /// What was answered, for a load whose next request depends on it.
    fn answered(&self, _connection: usize, _body: &[u8]) {}
}

/// The same request again and again.
pub struct Fixed {
    address: String,
    request: String,
}

impl Fixed {
    /// This request to this address.
    pub fn new(address: &str, request: String) -> Self {
        Self { address: address.to_owned(), request }
    }
}

impl Load for Fixed {
    fn address(&self) -> &str {
        &self.address
    }

    fn request(&self, _connection: usize) -> String {
        self.request.clone()
    }
}

/// Each connection walks down its own chain of refresh tokens.
pub struct Refresh {
    address: String,
    form: String,
    tokens: Vec<Mutex<String>>,
}

impl Refresh {
    /// A chain for each of these tokens.
    pub fn new(address: &str, form: String, tokens: Vec<String>) -> Self {
        Self { address: address.to_owned(), form, tokens: tokens.into_iter().map(Mutex::new).collect() }
    }
}

impl Load for Refresh {
    fn address(&self) -> &str {
        &self.address
    }

    fn request(&self, connection: usize) -> String {
        let token = self.tokens[connection].lock().unwrap();
        post("/auth/token", &format!("{}&refresh_token={token}", self.form))
    }

    fn answered(&self, connection: usize, body: &[u8]) {
        let answer: serde_json::Value = serde_json::from_slice(body).unwrap();
        answer["refresh_token"].as_str().unwrap().clone_into(&mut self.tokens[connection].lock().unwrap());
    }
}

/// A GET with further header lines.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{headers}\r\n")
}

/// A POST of a form.
pub fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Drives a load for a while.
pub async fn drive(load: &dyn Load, connections: usize, time: Duration) -> Measured {
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let socket = TcpStream::connect(load.address()).await.unwrap();
        socket.set_nodelay(true).unwrap();
        sockets.push(socket);
    }
    let started = Instant::now();
    let loops = sockets.into_iter().enumerate().map(|(number, socket)| one_loop(load, number, socket, started + time));
    let mut latencies: Vec<Duration> = join_all(loops).await.into_iter().flatten().collect();
    let seconds = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |part: f64| {
        latencies.get((latencies.len() as f64 * part) as usize).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    Measured { per_second: latencies.len() as f64 / seconds, p50_ms: at(0.5), p99_ms: at(0.99) }
}

async fn one_loop(load: &dyn Load, number: usize, mut socket: TcpStream, end: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut buffer = Vec::with_capacity(8192);
    while Instant::now() < end {
        let sent = Instant::now();
        socket.write_all(load.request(number).as_bytes()).await.unwrap();
        let body_at = read_answer(&mut socket, &mut buffer).await;
        latencies.push(sent.elapsed());
        load.answered(number, &buffer[body_at..]);
    }
    latencies
}

/// Reads one answer, which must be 200, and says where its body begins.
pub async fn read_answer(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> usize {
    buffer.clear();
    loop {
        if socket.read_buf(buffer).await.unwrap() == 0 {
            panic!("the connection was closed: {}", String::from_utf8_lossy(buffer));
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(buffer));
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if buffer.len() >= end + 4 + length {
            return end + 4;
        }
    }
}
