//! Puts the catalog into the crate: every `catalog/*.toml` by name, so that a new provider is a file and nothing else.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=catalog");
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut names = Vec::new();
    for file in fs::read_dir(Path::new(&root).join("catalog"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".toml").map(str::to_owned));
    }
    names.sort();
    let line = |name: &String| {
        format!("    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/catalog/{name}.toml\"))),\n")
    };
    let list: String = names.iter().map(line).collect();
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("catalog.rs"), format!("&[\n{list}]\n"))
}
