//! What the Linux build is made of: every crate under a licence that we may pass on, none that is banned, and one version
//! of what must be there once. See `docs/decisions/0003-licence-check-in-a-test.md`.
//!
//! Crates that only tests use are not looked at: nobody is given them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences that let an Apache-2.0 OR MIT program be passed on, source or binary, with no more than a notice.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not be in the build, and why.
const BANNED: &[(&str, &str)] = &[
    ("ring", "aws-lc-rs is the one source of cryptography"),
    ("openssl", "aws-lc-rs is the one source of cryptography"),
    ("openssl-sys", "aws-lc-rs is the one source of cryptography, and nothing is linked from the system"),
    ("native-tls", "rustls is the one TLS"),
    ("rsa 0.9", "its timing leaks the key (RUSTSEC-2023-0071)"),
];

/// Crates of which a second version would be compiled, linked or configured beside the first.
const ONCE: &[&str] =
    &["aws-lc-rs", "axum", "http", "hyper", "libsqlite3-sys", "reqwest", "rustls", "sqlx-core", "tokio", "tower-http"];

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// An SPDX expression; empty where there is none.
    licence: String,
}

#[test]
fn every_licence_can_be_passed_on() {
    let wrong: Vec<String> = built_for_linux()
        .iter()
        .filter(|package| !is_allowed(&package.licence))
        .map(|package| format!("{} {}: `{}`", package.name, package.version, package.licence))
        .collect();

    assert!(wrong.is_empty(), "licences that are not on the list of allowed ones:\n{}", wrong.join("\n"));
}

#[test]
fn nothing_banned_is_in_the_build() {
    let packages = built_for_linux();
    let wrong: Vec<String> = BANNED
        .iter()
        .filter(|(banned, _)| packages.iter().any(|package| is_banned(package, banned)))
        .map(|(name, why)| format!("{name}: {why} (`cargo tree --invert {name}` says who brings it)"))
        .collect();

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// By name, or by name and the beginning of the version.
fn is_banned(package: &Package, banned: &str) -> bool {
    match banned.split_once(' ') {
        Some((name, version)) => package.name == name && package.version.starts_with(&format!("{version}.")),
        None => package.name == banned,
    }
}

#[test]
fn what_must_be_there_once_is_there_once() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in built_for_linux() {
        versions.entry(package.name).or_default().push(package.version);
    }

    for name in ONCE {
        let found = versions.get(*name).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), 1, "{name}: {found:?} (`cargo tree --duplicates` says who brings them)");
    }
}

#[test]
fn a_licence_expression_is_judged_as_spdx_means_it() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0-only",
        "MIT/GPL-3.0",
        "ISC AND (Apache-2.0 OR GPL-2.0-only)",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
        // AND binds more tightly than OR.
        "GPL-3.0-only AND MIT OR MIT",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "Apache-2.0 WITH Classpath-exception-2.0",
        "(MIT",
        "MIT)",
        "MIT OR",
        "MIT OR GPL-3.0-only AND",
        "MIT MIT",
    ] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

/// Every package that the workspace's crates are built of on Linux, build scripts and macros among them. Asked of `cargo
/// tree`, because `cargo metadata` also lists what a feature names but does not turn on.
fn built_for_linux() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--target", "x86_64-unknown-linux-gnu", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}\t{l}\t"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let packages: BTreeSet<Package> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            // `serde v1.0.0 (proc-macro)`, a tab, `MIT OR Apache-2.0`, a tab, and ` (*)` where it was printed before
            let [package, licence, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let [name, version, ..] = package.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            Package { name: name.to_owned(), version: version.to_owned(), licence: licence.to_owned() }
        })
        .collect();
    assert!(packages.len() > 100, "only {} packages: the tree was not read", packages.len());
    packages.into_iter().collect()
}

/// Whether an SPDX expression leaves a choice that is allowed. What cannot be read is not allowed.
fn is_allowed(expression: &str) -> bool {
    // Older crates write a slash for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    matches!(any_of(&words), Some((true, [])))
}

type Judged<'w> = Option<(bool, &'w [&'w str])>;

fn any_of<'w>(words: &'w [&'w str]) -> Judged<'w> {
    let (mut allowed, mut rest) = all_of(words)?;
    while let ["OR", more @ ..] = rest {
        let (other, after) = all_of(more)?;
        (allowed, rest) = (allowed | other, after);
    }
    Some((allowed, rest))
}

fn all_of<'w>(words: &'w [&'w str]) -> Judged<'w> {
    let (mut allowed, mut rest) = one(words)?;
    while let ["AND", more @ ..] = rest {
        let (other, after) = one(more)?;
        (allowed, rest) = (allowed & other, after);
    }
    Some((allowed, rest))
}

fn one<'w>(words: &'w [&'w str]) -> Judged<'w> {
    match words {
        ["(", inner @ ..] => match any_of(inner)? {
            (allowed, [")", rest @ ..]) => Some((allowed, rest)),
            _ => None,
        },
        ["AND" | "OR" | "WITH" | ")", ..] | [] => None,
        [licence, "WITH", exception, rest @ ..] => {
            Some((ALLOWED.contains(&format!("{licence} WITH {exception}").as_str()), rest))
        }
        [licence, rest @ ..] => Some((ALLOWED.contains(licence), rest)),
    }
}
