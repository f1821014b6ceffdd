//! What the program does with connections, seen from the other end: odd heads, silence, and bodies that nobody reads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod program;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use program::{Place, text};

fn connect(base: &str) -> TcpStream {
    let socket = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    socket
}

fn read_all(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("the connection is closed");
    text(&answer)
}

#[test]
fn a_head_with_two_hosts_none_or_two_equal_lengths_is_refused() {
    // attacks 171, 219
    let place = Place::sqlite();
    let server = place.serve(&[]);
    for odd in [
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: x\r\nhost: evil.example\r\n\r\n",
        "POST /auth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab",
        "\r\nPOST /auth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut socket = connect(&server.base);
        socket.write_all(odd.as_bytes()).unwrap();
        let answer = read_all(&mut socket);
        assert!(answer.starts_with("HTTP/1.1 400"), "{odd:?}: {answer:?}");
    }
    let mut socket = connect(&server.base);
    socket.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    assert!(read_all(&mut socket).starts_with("HTTP/1.0 200"), "HTTP/1.0 has no Host");
}

#[test]
fn whoever_connects_and_says_nothing_is_hung_up_on() {
    let place = Place::sqlite();
    place.configure("[http]\nheader_timeout = '300ms'");
    let server = place.serve(&[]);
    for beginning in ["", "G", "PRI * HT"] {
        let mut socket = connect(&server.base);
        socket.write_all(beginning.as_bytes()).unwrap();
        read_all(&mut socket);
    }
}

#[test]
fn whoever_writes_a_whole_large_body_before_reading_gets_to_read_that_it_is_too_large() {
    // attack 173
    let place = Place::sqlite();
    let server = place.serve(&[]);
    let mut socket = connect(&server.base);
    let head =
        "POST /auth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 33554432\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    for _ in 0..512 {
        socket.write_all(&[b'x'; 65_536]).expect("nobody breaks the pipe");
    }
    let answer = read_all(&mut socket);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
}
