//! The layers of the code: `ARCHITECTURE.md` draws them, the imports hold to them, and no two files need each other.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// Where an item is: a crate's root first, then modules.
type Place = Vec<String>;

/// Which file needs which others, and by which name.
type Needs = BTreeMap<Place, BTreeMap<Place, String>>;

/// A file of the source.
#[derive(Default)]
struct Module {
    /// What is defined in it.
    items: BTreeSet<String>,
    /// Names that it imports or exports again, and what they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// Places of which it imports everything.
    globs: Vec<Vec<String>>,
    /// Every path that its code mentions.
    mentions: BTreeSet<Vec<String>>,
}

/// All files of the library and the command, tests within them left out.
#[derive(Default)]
struct Source {
    modules: BTreeMap<Place, Module>,
}

impl Source {
    fn read() -> Self {
        let mut source = Self::default();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for name in ["lib", "main"] {
            source.add(
                vec![name.to_owned()],
                &root,
                &root.join(format!("{name}.rs")),
            );
        }
        source
    }

    /// Adds the file of module `place`, whose submodules are in `folder`.
    fn add(&mut self, place: Place, folder: &Path, file: &Path) {
        let text = fs::read_to_string(file).unwrap();
        self.add_text(place, &text, &mut |name| {
            let inner = folder.join(name);
            let candidates = [folder.join(format!("{name}.rs")), inner.join("mod.rs")];
            let file = candidates.into_iter().find(|file| file.exists());
            Some((
                inner,
                file.unwrap_or_else(|| panic!("{name} of {}", file_name(folder))),
            ))
        });
    }

    fn add_text(
        &mut self,
        place: Place,
        text: &str,
        find: &mut dyn FnMut(&str) -> Option<(PathBuf, PathBuf)>,
    ) {
        let parsed = syn::parse_file(text).unwrap();
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        let children = reader.children;
        self.modules.insert(place.clone(), reader.module);
        for child in children {
            let inner = [place.clone(), vec![child.clone()]].concat();
            if let Some((folder, file)) = find(&child) {
                self.add(inner, &folder, &file);
            }
        }
    }

    /// The file that defines what `path` names, seen from `from`; `None` for other crates and local names.
    fn defines(&self, from: &Place, path: &[String], depth: usize) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        let (mut at, mut rest) = match first.as_str() {
            "crate" => (vec![from[0].clone()], rest),
            "metaplastic" => (vec!["lib".to_owned()], rest),
            "self" => (from.clone(), rest),
            "super" => (from[..from.len() - 1].to_vec(), rest),
            _ => (from.clone(), path),
        };
        loop {
            // A module by itself is not needed, but what is taken from it.
            let (name, after) = rest.split_first()?;
            let child = [at.clone(), vec![name.clone()]].concat();
            if self.modules.contains_key(&child) {
                (at, rest) = (child, after);
            } else if name == "super" {
                at.pop();
                rest = after;
            } else {
                return self.named(&at, name, after, depth);
            }
        }
    }

    /// The file that defines `name` of module `at`, or what follows it where it is a module by another name.
    fn named(&self, at: &Place, name: &str, after: &[String], depth: usize) -> Option<Place> {
        let module = &self.modules[at];
        if module.items.contains(name) {
            return Some(at.clone());
        }
        // Names that stand for themselves, as in `use serde::serde`, would go round.
        if depth > 8 {
            return None;
        }
        if let Some(path) = module.names.get(name) {
            let path = [path.as_slice(), after].concat();
            return self.defines(at, &path, depth + 1);
        }
        module.globs.iter().find_map(|glob| {
            let path = [glob.as_slice(), &[name.to_owned()], after].concat();
            self.defines(at, &path, depth + 1)
        })
    }

    /// Which file needs which others, and by which name.
    fn needs(&self) -> Needs {
        let needs = |(place, module): (&Place, &Module)| {
            let mut others = BTreeMap::new();
            for path in &module.mentions {
                match self.defines(place, path, 0) {
                    Some(other) if other != *place => {
                        others.insert(other, path.join("::"));
                    }
                    _ => {}
                }
            }
            (place.clone(), others)
        };
        self.modules.iter().map(needs).collect()
    }
}

/// Collects what a file defines, imports and mentions.
#[derive(Default)]
struct Reader {
    module: Module,
    children: Vec<String>,
    /// Whether what comes is inside of an item, so that others cannot name it.
    inside_item: bool,
}

impl Reader {
    /// Paths in the arguments of a macro, which are no syntax tree yet.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut goes_on = false;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if !goes_on {
                        self.module.mentions.insert(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    goes_on = false;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => goes_on = true,
                TokenTree::Group(group) => self.visit_tokens(group.stream()),
                _ => goes_on = false,
            }
        }
        self.module.mentions.insert(path);
    }

    fn add_use(&mut self, tree: &UseTree, mut path: Vec<String>, is_export: bool) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.add_use(&part.tree, path, is_export);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, path.clone(), is_export);
                }
            }
            UseTree::Glob(_) => self.module.globs.push(path),
            UseTree::Name(name) => {
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                let name = path.last().unwrap().clone();
                self.add_name(name, path, is_export);
            }
            UseTree::Rename(renamed) => {
                path.push(renamed.ident.to_string());
                self.add_name(renamed.rename.to_string(), path, is_export);
            }
        }
    }

    /// An export alone is no need: whoever imports it has it from where it is defined.
    fn add_name(&mut self, name: String, path: Vec<String>, is_export: bool) {
        if !is_export {
            self.module.mentions.insert(path.clone());
        }
        self.module.names.insert(name, path);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test" || condition == "doctest")
    };
    attributes.iter().any(is_test)
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a Item) {
        let (attributes, name) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Mod(item) => (&item.attrs, None),
            _ => (&Vec::new(), None),
        };
        if is_test(attributes) {
            return;
        }
        if let (Some(name), false) = (name, self.inside_item) {
            self.module.items.insert(name.to_string());
        }
        match item {
            Item::Mod(module) if module.content.is_none() => {
                self.children.push(module.ident.to_string());
            }
            Item::Use(item) => {
                let is_export = !matches!(item.vis, Visibility::Inherited);
                self.add_use(&item.tree, Vec::new(), is_export);
            }
            _ => {
                let outside = std::mem::replace(&mut self.inside_item, true);
                visit::visit_item(self, item);
                self.inside_item = outside;
            }
        }
    }

    fn visit_visibility(&mut self, _: &'a Visibility) {}

    fn visit_macro(&mut self, invocation: &'a syn::Macro) {
        self.visit_path(&invocation.path);
        self.visit_tokens(invocation.tokens.clone());
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments = path.segments.iter();
        let path_of = segments.map(|segment| segment.ident.to_string());
        self.module.mentions.insert(path_of.collect());
        visit::visit_path(self, path);
    }
}

fn file_name(path: &Path) -> String {
    path.display().to_string()
}

/// A place for people.
fn shown(place: &Place) -> String {
    place.join("::")
}

/// The shortest way from `start` back to it, over what each file needs of the next.
fn way_back<'a>(needs: &'a Needs, start: &'a Place) -> Option<Vec<&'a Place>> {
    let mut came_from: BTreeMap<&Place, &Place> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for next in needs[at].keys() {
            if next == start {
                let mut way = vec![start, at];
                while way[way.len() - 1] != start {
                    way.push(came_from[way[way.len() - 1]]);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}

/// A circle of imports for every file that is in one, but for files of circles before.
fn circles(needs: &Needs) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for start in needs.keys() {
        let Some(way) = way_back(needs, start).filter(|_| !told.contains(start)) else {
            continue;
        };
        told.extend(way.iter().copied());
        let steps = way.windows(2).map(|pair| {
            let name = &needs[pair[0]][pair[1]];
            format!("{} needs {name} of {}", shown(pair[0]), shown(pair[1]))
        });
        circles.push(steps.collect::<Vec<_>>().join("\n"));
    }
    circles
}

/// The modules of each layer, the highest first, as `ARCHITECTURE.md` draws them.
fn drawn_layers() -> Vec<Vec<String>> {
    let text = include_str!("../ARCHITECTURE.md");
    let block = text.split("```").nth(1).unwrap();
    let rows = block.lines().filter(|line| line.starts_with('│'));
    let cell = |row: &str| row.split('│').nth(1).unwrap().trim().to_owned();
    let names = |cell: String| cell.split_whitespace().map(str::to_owned).collect();
    rows.map(cell)
        .filter(|cell| !cell.is_empty())
        .map(names)
        .collect()
}

#[test]
fn no_module_needs_one_of_its_own_layer_or_above() {
    let layers = drawn_layers();
    let source = Source::read();
    let top = |place: &Place| place.get(1).cloned();
    let height = |module: &String| {
        let row = layers.iter().position(|row| row.contains(module));
        row.unwrap_or_else(|| panic!("ARCHITECTURE.md does not draw {module}"))
    };
    let drawn: BTreeSet<_> = layers.iter().flatten().cloned().collect();
    let there_are: BTreeSet<_> = source.modules.keys().filter_map(top).collect();
    assert_eq!(drawn, there_are, "modules drawn and modules that there are");
    for (place, others) in source.needs() {
        for (other, name) in others {
            let (Some(above), Some(below)) = (top(&place), top(&other)) else {
                continue;
            };
            let goes_down = above == below || height(&above) < height(&below);
            assert!(
                goes_down,
                "{} needs {name} of {}",
                shown(&place),
                shown(&other)
            );
        }
    }
}

/// What the reader makes of files that are given as text: `name: text` each.
fn needs_of(files: &[(&str, &str)]) -> Needs {
    let mut source = Source::default();
    for (name, text) in files {
        let place: Place = name.split("::").map(str::to_owned).collect();
        source.add_text(place, text, &mut |_| None);
    }
    source.needs()
}

#[test]
fn circles_are_found_through_exports_and_names_of_modules() {
    let root = ("lib", "mod a; mod b; pub use a::A;");
    let a = ("lib::a", "use crate::b; pub struct A(b::B);");
    for (text, is_circle) in [
        ("pub struct B;", false),
        ("pub struct B; fn f() { crate::a::A; }", true),
        ("use crate::A; pub struct B;", true),
        ("use super::a::A as C; pub struct B;", true),
        ("use super::*; pub struct B(A);", true),
        ("use super::a; pub struct B; fn f() { a::A; }", true),
        (
            "use super::a; pub struct B; fn f() { assert!(vec![a::A].is_empty()); }",
            true,
        ),
        ("use super::a; pub struct B; fn f(a: u8) { a; }", false),
        (
            "pub struct B; #[cfg(test)] mod tests { use crate::A; }",
            false,
        ),
        ("pub struct B; mod inner { struct A; }", false),
    ] {
        let found = circles(&needs_of(&[root, a, ("lib::b", text)]));
        assert_eq!(!found.is_empty(), is_circle, "{text}: {found:?}");
    }
}

#[test]
fn no_two_files_need_each_other() {
    let circles = circles(&Source::read().needs());
    assert!(
        circles.is_empty(),
        "circles of imports:\n{}",
        circles.join("\n\n")
    );
}
