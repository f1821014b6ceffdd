//! The rule of the rooms: a room looks down, never up or sideways, and a library's types stay in the room that they are
//! for. `docs/architecture.md` shows the same as a picture.
//!
//! It reads the source as text: every `crate::x` outside of comments counts, in tests too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Values that every room may use: they know no room.
const VALUES: &[&str] = &["clock", "settings", "metrics"];

/// Every room, and which others it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("settings", &[]),
    ("metrics", &[]),
    ("store", &[]),
    ("mail", &[]),
    ("upstream", &[]),
    // The context holds a value of each room, and every room above those is handed it.
    ("context", &["authenticate", "client", "hooks", "identity", "mail", "signing", "statistics", "store", "upstream"]),
    ("identity", &["context", "store"]),
    ("hooks", &["context", "mail", "store", "upstream"]),
    ("statistics", &["context", "store"]),
    ("outbox", &["context", "mail", "store"]),
    ("entrance", &["context", "hooks", "identity", "store", "upstream"]),
    ("limits", &["context", "store"]),
    ("sender", &["context", "store"]),
    ("session", &["context", "store"]),
    ("signing", &["context", "store"]),
    ("client", &["context", "sender", "store"]),
    ("claims", &["client", "context", "signing", "store"]),
    ("issue", &["claims", "client", "context", "sender", "session", "signing", "statistics", "store"]),
    ("registration", &["client", "context", "limits", "store"]),
    (
        "admin",
        &[
            "authenticate",
            "claims",
            "client",
            "context",
            "entrance",
            "identity",
            "limits",
            "logout",
            "registration",
            "signing",
            "store",
            "upstream",
        ],
    ),
    ("authenticate", &["context", "entrance", "sender", "signing", "store", "upstream"]),
    ("provider_token", &["authenticate", "context", "identity", "store", "upstream"]),
    ("authorize", &["claims", "client", "context", "issue", "limits", "registration", "session", "store"]),
    ("logout", &["claims", "client", "context", "issue", "session", "store"]),
    ("cleanup", &["context", "hooks", "logout", "outbox", "signing", "store"]),
    (
        "grant",
        &[
            "authenticate",
            "claims",
            "client",
            "context",
            "entrance",
            "identity",
            "issue",
            "limits",
            "sender",
            "session",
            "statistics",
            "store",
            "upstream",
        ],
    ),
    ("openapi", &["grant", "limits"]),
    (
        "http",
        &[
            "admin",
            "authenticate",
            "authorize",
            "claims",
            "client",
            "context",
            "entrance",
            "grant",
            "identity",
            "issue",
            "limits",
            "logout",
            "mail",
            "openapi",
            "outbox",
            "provider_token",
            "registration",
            "sender",
            "session",
            "signing",
            "statistics",
            "store",
            "upstream",
        ],
    ),
];

/// What is another crate's, and the rooms that may name it. The crate's root shows the router, so it may name axum.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("axum", &["http", "lib"]),
    ("sqlx", &["store"]),
    ("rusqlite", &["store"]),
    ("reqwest", &["upstream"]),
    ("minijinja", &["http"]),
    ("lettre", &["mail"]),
];

/// What the binary may not use: it decides nothing and makes no tokens.
const NOT_FOR_THE_BINARY: &[&str] = &["authenticate", "grant", "issue", "identity::link"];

#[test]
fn rooms_only_look_down() {
    let mut wrong = Vec::new();
    for (room, allowed) in MAY_USE {
        for (file, code) in code_of_room(room) {
            for used in paths_after(&code, "crate") {
                let fine = used == *room || allowed.contains(&used.as_str()) || VALUES.contains(&used.as_str());
                if !fine && is_room(&used) {
                    wrong.push(format!("{} may not use `{used}`", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_known_here() {
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let rooms: BTreeSet<&str> = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .filter_map(|line| line.strip_suffix(';'))
        .collect();

    let known: BTreeSet<&str> = MAY_USE.iter().map(|(room, _)| *room).collect();

    assert_eq!(rooms, known);
}

#[test]
fn a_librarys_types_stay_in_their_room() {
    let mut wrong = Vec::new();
    for (library, rooms) in KEPT_IN {
        for file in files_below("src") {
            let code = code(&file);
            if mentions(&code, library) && !rooms.iter().any(|room| is_in(&file, room)) {
                wrong.push(format!("{} may not name `{library}`", file.display()));
            }
        }
        for file in files_below("protocol/src") {
            if mentions(&code(&file), library) {
                wrong.push(format!("{} may not name `{library}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_binary_holds_no_rules() {
    let mut wrong = Vec::new();
    for file in files_below("server/src") {
        let code = code(&file);
        for used in NOT_FOR_THE_BINARY {
            if code.contains(&format!("vestibule::{used}")) {
                wrong.push(format!("{} may not use `vestibule::{used}`", file.display()));
            }
        }
        for library in ["sqlx", "rusqlite"] {
            if mentions(&code, library) {
                wrong.push(format!("{} may not name `{library}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn uses_are_found_however_they_are_written() {
    let code = without_comments(
        "use crate::store::{self, Tx}; // crate::http\nuse crate::{\n    grant, issue::tokens,\n    context::{Ctx, random},\n};\nfn f(x: &crate::upstream::Provider) {}\n//! crate::client",
    );

    let used: Vec<String> = paths_after(&code, "crate").into_iter().collect();

    assert_eq!(used, ["context", "grant", "issue", "store", "upstream"]);
    assert!(mentions("use reqwest::Client;", "reqwest") && !mentions("my_reqwest::Client", "reqwest"));
}

fn is_room(name: &str) -> bool {
    MAY_USE.iter().any(|(room, _)| *room == name)
}

fn is_in(file: &Path, room: &str) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    file.starts_with(source.join(room)) || file == source.join(format!("{room}.rs"))
}

fn code_of_room(room: &str) -> Vec<(PathBuf, String)> {
    let files: Vec<_> = files_below("src").into_iter().filter(|file| is_in(file, room)).collect();
    assert!(!files.is_empty(), "there is no room `{room}` in src/");
    files.into_iter().map(|file| (file.clone(), code(&file))).collect()
}

fn code(file: &Path) -> String {
    without_comments(&fs::read_to_string(file).unwrap())
}

/// Every Rust file below this directory of the repository.
fn files_below(directory: &str) -> Vec<PathBuf> {
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    let mut files = Vec::new();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            // A room's tests stand for what is outside of it.
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no Rust file below {directory}");
    files
}

fn without_comments(code: &str) -> String {
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names after `root::`, also those in a list: `crate::{store, grant::run}`.
fn paths_after(code: &str, root: &str) -> BTreeSet<String> {
    let name_at = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(&format!("{root}::")) {
        let rest = &code[at + root.len() + 2..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(name_at(rest));
            continue;
        };
        let mut depth = 0;
        let mut expects_name = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                _ if expects_name && !c.is_whitespace() => {
                    names.insert(name_at(&list[at..]));
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// Whether a crate is named in a path: `reqwest::`, or `use reqwest;`.
fn mentions(code: &str, library: &str) -> bool {
    let is_part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(library).any(|(at, _)| {
        let begins = !code[..at].ends_with(is_part_of_name);
        begins && code[at + library.len()..].starts_with("::")
    }) || code.contains(&format!("use {library};"))
}
