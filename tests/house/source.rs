//! The source as tokens: every file under `src`, `tests` and `benches`, flattened, with line numbers.
//!
//! Tokens rather than syntax trees, so that the inside of macros is seen too. Comments and doc comments are no tokens; each token
//! knows whether it is test code and which inline modules it stands in.

use std::path::Path;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ident,
    Punct,
    Literal,
    Open,
    Close,
}

/// One token, with where it stands.
#[derive(Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub line: usize,
    /// Under `#[cfg(test)]` or `#[test]`.
    pub test: bool,
    /// The inline modules around it, outermost first.
    pub modules: Vec<String>,
}

/// One file, by its path from the project's root.
pub struct Source {
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

/// All files.
pub struct House {
    pub files: Vec<Source>,
}

impl House {
    /// The project's own files.
    pub fn load() -> House {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for folder in ["src", "tests", "benches"] {
            gather(root, &root.join(folder), &mut files);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        House { files }
    }

    /// A house of the given files, for the planted violations.
    pub fn of(files: &[(&str, &str)]) -> House {
        House { files: files.iter().map(|(path, text)| Source::new(path, text)).collect() }
    }

    /// The files under `src`.
    pub fn program(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|f| f.path.starts_with("src/"))
    }
}

fn gather(root: &Path, folder: &Path, files: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            gather(root, &path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).expect("under the root").to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(&path).expect("a readable file");
            files.push(Source::new(&name, &text));
        }
    }
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let stream = TokenStream::from_str(text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut tokens = Vec::new();
        flatten(stream, false, &[], &mut tokens);
        Source { path: path.into(), text: text.into(), tokens }
    }

    /// Whether the tokens from `at` on read so.
    pub fn reads(&self, at: usize, words: &[&str]) -> bool {
        self.tokens.get(at..at + words.len()).is_some_and(|t| t.iter().zip(words).all(|(t, w)| t.text == *w))
    }

    /// The index of the token that closes the one opened at `open`.
    pub fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        unreachable!("the tokeniser balances its groups")
    }
}

fn flatten(stream: TokenStream, in_test: bool, modules: &[String], out: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut test = in_test;
    let mut at = 0;
    while at < trees.len() {
        if let Some((taken, attribute)) = attribute(&trees[at..]) {
            test |= matches!(attribute.as_str(), "cfg(test)" | "test");
            if attribute.starts_with("doc=") {
                at += taken;
                continue;
            }
        }
        match &trees[at] {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                let mut inside = modules.to_vec();
                inside.extend(inline_module(&trees[..at], group.delimiter()));
                out.push(token(Kind::Open, open, group.span_open().start().line, test, modules));
                flatten(group.stream(), test, &inside, out);
                out.push(token(Kind::Close, close, group.span_close().start().line, test, modules));
            }
            TokenTree::Ident(i) => out.push(token(Kind::Ident, &i.to_string(), i.span().start().line, test, modules)),
            TokenTree::Punct(p) => out.push(token(Kind::Punct, &p.as_char().to_string(), p.span().start().line, test, modules)),
            TokenTree::Literal(l) => out.push(token(Kind::Literal, &l.to_string(), l.span().start().line, test, modules)),
        }
        // An item ends with its block or its semicolon, and with it what its attribute said.
        let ends = matches!(&trees[at], TokenTree::Group(g) if g.delimiter() == Delimiter::Brace)
            || matches!(&trees[at], TokenTree::Punct(p) if p.as_char() == ';');
        if ends {
            test = in_test;
        }
        at += 1;
    }
}

fn token(kind: Kind, text: &str, line: usize, test: bool, modules: &[String]) -> Token {
    Token { kind, text: text.into(), line, test, modules: modules.to_vec() }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// The attribute that begins here, without spaces, and how many trees it takes.
fn attribute(trees: &[TokenTree]) -> Option<(usize, String)> {
    let punct = |at: usize, wanted: char| matches!(trees.get(at), Some(TokenTree::Punct(p)) if p.as_char() == wanted);
    if !punct(0, '#') {
        return None;
    }
    let place = if punct(1, '!') { 2 } else { 1 };
    match trees.get(place) {
        Some(TokenTree::Group(g)) if g.delimiter() == Delimiter::Bracket => {
            Some((place + 1, g.stream().to_string().replace(char::is_whitespace, "")))
        }
        _ => None,
    }
}

/// The name of the module whose block comes next, if `mod name` stands before it.
fn inline_module(before: &[TokenTree], delimiter: Delimiter) -> Option<String> {
    match before {
        [.., TokenTree::Ident(word), TokenTree::Ident(name)] if delimiter == Delimiter::Brace && word == "mod" => Some(name.to_string()),
        _ => None,
    }
}
