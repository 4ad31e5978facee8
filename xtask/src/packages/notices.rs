//! Licences of the Rust packages that a program contains. Their texts must accompany it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::run::{cargo, output, root, Result};

/// Beginnings of the names of files with a licence or with notices.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "copyright"];

/// Returns the licences of all packages from registries that are linked into the package `of` of
/// a workspace.
pub(crate) fn notices(manifest: &str, of: &str) -> Result<String> {
    let mut metadata = cargo(&["metadata", "--format-version=1", "--locked"]);
    metadata.arg("--manifest-path").arg(root().join(manifest));
    let host = output(std::process::Command::new("rustc").args(["--print", "host-tuple"]))?;
    metadata.args(["--filter-platform", host.trim()]);
    let metadata: Value =
        serde_json::from_str(&output(&mut metadata)?).map_err(|error| error.to_string())?;
    let packages: BTreeMap<_, _> = list(&metadata["packages"])
        .map(|package| (text(&package["id"]), package))
        .collect();
    let begin = packages.values().find(|package| package["name"] == of);
    let begin = begin.ok_or_else(|| format!("there is no package {of}"))?;
    // Equal texts, most of all that of Apache-2.0, are written once.
    let mut texts = BTreeMap::<String, BTreeSet<String>>::new();
    for id in linked(&metadata, text(&begin["id"])) {
        let package = packages[id];
        if package["source"].is_null() {
            continue;
        }
        let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
        let folder = Path::new(text(&package["manifest_path"])).parent();
        let mut found = folder.map_or(Ok(Vec::new()), licences)?;
        if found.is_empty() {
            let authors: Vec<_> = list(&package["authors"]).map(text).collect();
            let licence = text(&package["license"]);
            found.push(format!("{licence}\n{}\n", authors.join("\n")));
        }
        for licence in found {
            texts.entry(licence).or_default().insert(name.clone());
        }
    }
    let mut notices = format!("{of} contains these packages, under these licences.\n");
    for (licence, names) in texts {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        notices.push_str(&format!("\n{}\n\n{names}:\n\n{licence}", "=".repeat(72)));
    }
    Ok(notices)
}

/// Returns the packages that one is built from: not those of its tests and build scripts.
fn linked<'a>(metadata: &'a Value, begin: &'a str) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<_, _> = list(&metadata["resolve"]["nodes"])
        .map(|node| (text(&node["id"]), node))
        .collect();
    let (mut found, mut next) = (BTreeSet::new(), vec![begin]);
    while let Some(id) = next.pop() {
        if found.insert(id) {
            let is_linked = |dependency: &&Value| {
                list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null())
            };
            let dependencies = list(&nodes[id]["deps"]).filter(is_linked);
            next.extend(dependencies.map(|dependency| text(&dependency["pkg"])));
        }
    }
    found
}

/// Returns the texts of a package's licences.
fn licences(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let is_licence = |path: &&std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_lowercase();
        path.is_file() && NAMES.iter().any(|begin| name.starts_with(begin))
    };
    let texts = paths.iter().filter(is_licence).map(fs::read_to_string);
    texts
        .collect::<std::io::Result<_>>()
        .map_err(|error| format!("{}: {error}", folder.display()))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
