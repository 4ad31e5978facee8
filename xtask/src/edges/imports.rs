//! Imports between the modules of one crate, read from its sources. Knows
//! neither which imports are allowed nor any crate by name.
//!
//! Each name is followed through `use` items to the module that defines it, so
//! a re-export hides no import. Code below `#[cfg(test)]` does not count. A
//! macro that is used without a path, or by its path at the root, is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, UseTree};

use crate::run::Result;

/// Segments of a path: as written, or of a module below its crate.
pub(super) type Segments = Vec<String>;

/// An import of one module by another.
pub(super) struct Import {
    pub(super) from: Segments,
    /// The module that defines the imported name.
    pub(super) to: Segments,
    /// The path as it is written.
    pub(super) written: String,
    /// The name was taken from the crate's root, which only re-exports it.
    pub(super) is_through_root: bool,
}

/// All modules of one crate.
#[derive(Default)]
pub(super) struct Modules(BTreeMap<Segments, Module>);

#[derive(Default)]
struct Module {
    /// Names from its `use` items, and the paths behind them.
    names: BTreeMap<String, Segments>,
    /// All paths of at least two segments.
    paths: BTreeSet<Segments>,
}

impl Modules {
    /// Reads the crate whose root, `lib.rs` or `main.rs`, is `file`.
    ///
    /// # Errors
    /// A file that cannot be read or is not Rust.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let mut modules = Self::default();
        modules.read_file(file, file.parent().unwrap_or(file), Vec::new())?;
        Ok(modules)
    }

    /// Reads a module, whose submodules' files are in `directory`.
    fn read_file(&mut self, file: &Path, directory: &Path, module: Segments) -> Result<()> {
        let text = fs::read_to_string(file).map_err(|why| format!("{}: {why}", file.display()))?;
        let parsed = syn::parse_file(&text).map_err(|why| format!("{}: {why}", file.display()))?;
        let mut reader = Reader {
            modules: self,
            at: module.clone(),
            files: Vec::new(),
        };
        reader.modules.0.entry(module.clone()).or_default();
        reader.visit_file(&parsed);
        for child in reader.files {
            let below = directory.join(child[module.len()..].join("/"));
            let file = below.with_extension("rs");
            let folder = below.join("mod.rs");
            self.read_file(if file.exists() { &file } else { &folder }, &below, child)?;
        }
        Ok(())
    }

    /// The modules directly below the root.
    pub(super) fn top(&self) -> impl Iterator<Item = &str> {
        let below_root = self.0.keys().filter(|module| module.len() == 1);
        below_root.map(|module| module[0].as_str())
    }

    /// All imports of the crate, also those of a module from itself.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, module) in &self.0 {
            for path in &module.paths {
                if let Some((to, is_through_root)) = self.resolve(from, path, 0) {
                    imports.push(Import {
                        from: from.clone(),
                        to,
                        written: path.join("::"),
                        is_through_root: is_through_root && !from.is_empty(),
                    });
                }
            }
        }
        imports
    }

    /// The module that defines what `path` means in `from`, and whether a `use`
    /// item of the root led there. `None` for names of other crates.
    fn resolve(&self, from: &[String], path: &[String], depth: u32) -> Option<(Segments, bool)> {
        let mut at = from.to_vec();
        for (index, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                _ => {
                    at.push(segment.clone());
                    if self.0.contains_key(&at) {
                        continue;
                    }
                    at.pop();
                    let name = self.0.get(&at)?.names.get(segment);
                    let Some(name) = name.filter(|name| ***name != [segment.as_str()]) else {
                        // An item of this module, unless no module was named at all.
                        return (index > 0).then_some((at, false));
                    };
                    let behind: Segments = name.iter().chain(&path[index + 1..]).cloned().collect();
                    // A name that leads to another crate belongs to who imports it.
                    let found = (depth < 16).then(|| self.resolve(&at, &behind, depth + 1));
                    let (to, is_through_root) = match found.flatten() {
                        Some(found) => found,
                        None if index == 0 => return None,
                        None => (at.clone(), false),
                    };
                    return Some((to, is_through_root || at.is_empty()));
                }
            }
        }
        Some((at, false))
    }
}

/// Collects names and paths of one file.
struct Reader<'a> {
    modules: &'a mut Modules,
    /// The module that is being read: the file's, or one inside it.
    at: Segments,
    /// Modules that have files of their own.
    files: Vec<Segments>,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        self.modules.0.entry(self.at.clone()).or_default()
    }

    fn add_path(&mut self, path: Segments) {
        if path.len() > 1 {
            self.module().paths.insert(path);
        }
    }

    fn add_use(&mut self, tree: &UseTree, mut path: Segments) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.add_use(&part.tree, path);
            }
            UseTree::Group(group) => {
                (group.items.iter()).for_each(|tree| self.add_use(tree, path.clone()));
            }
            UseTree::Glob(_) => self.add_path(path),
            UseTree::Name(name) => self.add_name(&name.ident, name.ident.to_string(), path),
            UseTree::Rename(name) => self.add_name(&name.ident, name.rename.to_string(), path),
        }
    }

    fn add_name(&mut self, ident: &syn::Ident, mut name: String, mut path: Segments) {
        if ident == "self" {
            name = path.last().cloned().unwrap_or(name);
        } else {
            path.push(ident.to_string());
        }
        self.module().names.insert(name, path.clone());
        self.add_path(path);
    }

    /// Paths in the arguments of a macro, which is not parsed.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path = Segments::new();
        let mut colons = 2;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(ident) if colons == 2 => path.push(ident.to_string()),
                // An exported macro is at the root wherever it is defined.
                TokenTree::Punct(punct) if punct.as_char() == '!' && path.len() == 2 => {
                    path.clear();
                }
                other => {
                    self.add_path(std::mem::take(&mut path));
                    match other {
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        _ => {}
                    }
                }
            }
            colons = if path.is_empty() { 2 } else { 0 };
        }
        self.add_path(path);
    }
}

/// Whether an attribute is `#[cfg(test)]`.
fn is_test(attribute: &Attribute) -> bool {
    let condition = attribute.parse_args::<syn::Path>();
    attribute.path().is_ident("cfg") && condition.is_ok_and(|word| word.is_ident("test"))
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if item.attrs.iter().any(is_test) {
            return;
        }
        self.at.push(item.ident.to_string());
        match &item.content {
            Some(_) => {
                self.module();
                visit::visit_item_mod(self, item);
            }
            None => self.files.push(self.at.clone()),
        }
        self.at.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.add_use(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.add_path(segments.collect());
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_macro(&mut self, item: &'a syn::Macro) {
        visit::visit_macro(self, item);
        self.add_tokens(item.tokens.clone());
    }
}
