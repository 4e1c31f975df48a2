//! Lists: one page as JSON, or everything as CSV or NDJSON.
//!
//! Rows come from a callback that reads one page after a key, on a blocking thread. A stream fetches its next page only when the client
//! has taken the last, so memory is bounded by [`BATCH`] rows and no thread waits for a slow reader. A cursor is bound to the path and
//! filters it was made for.

use std::future::ready;

use actix_web::error::BlockingError;
use actix_web::http::header::{self, Accept, Header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::refusal::{Code, Refusal};
use crate::store::{Fault, Page};

use super::csv::Csv;
use super::problem::Problem;
use super::query::{Query, invalid};

/// Rows of a page when the query says nothing.
pub const LIMIT: i64 = 50;
/// Rows fetched at once for a stream.
pub const BATCH: i64 = 1000;

/// The media types of a list.
pub const MEDIA_TYPES: [&str; 3] = ["application/json", "text/csv", "application/x-ndjson"];
/// How CSV is answered: its first row names the columns.
pub const CSV_WITH_HEAD: &str = "text/csv; charset=utf-8; header=present";

/// One page of a list on the wire.
#[derive(Serialize)]
struct List<R> {
    object: &'static str,
    data: Vec<R>,
    has_more: bool,
    next_cursor: Option<String>,
}

/// Answers a list in the form that `Accept` asks for. `fetch` reads one page of rows with their keys, in order; it runs on a blocking thread.
pub async fn list<R, F>(request: &HttpRequest, query: &Query, fetch: F) -> Result<HttpResponse, Problem>
where
    R: Serialize + Send + 'static,
    F: FnMut(Page) -> Result<Vec<(i64, R)>, Fault> + Send + 'static,
{
    let form = negotiate(request)?;
    let after = query.text("cursor").map(|cursor| open_cursor(request.path(), query, cursor)).transpose()?;
    let page = Page { after, limit: query.number("limit").unwrap_or(LIMIT), descending: query.text("order") == Some("desc") };
    match form {
        Form::Json => paged(request, query, page, fetch).await,
        Form::Csv => streamed(page, fetch, Writer::Csv(Csv::default())).await,
        Form::Ndjson => streamed(page, fetch, Writer::Ndjson).await,
    }
}

async fn paged<R, F>(request: &HttpRequest, query: &Query, page: Page, mut fetch: F) -> Result<HttpResponse, Problem>
where
    R: Serialize + Send + 'static,
    F: FnMut(Page) -> Result<Vec<(i64, R)>, Fault> + Send + 'static,
{
    // One row more than is shown tells whether there is a next page.
    let mut rows = blocking(move || fetch(Page { limit: page.limit + 1, ..page })).await??;
    let shown = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > shown;
    rows.truncate(shown);
    let last = rows.last().map(|(key, _)| *key).filter(|_| has_more);
    let next_cursor = last.map(|key| seal_cursor(request.path(), query, key));
    let mut response = HttpResponse::Ok();
    if let Some(cursor) = &next_cursor {
        let link = format!("<{}?{}>; rel=\"next\"", request.path(), query.with_cursor(cursor));
        response.insert_header((header::LINK, link));
    }
    response.insert_header((header::VARY, "Accept"));
    Ok(response.json(List { object: "list", data: rows.into_iter().map(|(_, row)| row).collect(), has_more, next_cursor }))
}

/// Runs `work` where it may block.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    web::block(work).await.map_err(|error: BlockingError| Problem::internal(error))
}

/// A stream between two pages.
struct Stream<F> {
    page: Page,
    fetch: F,
    writer: Writer,
}

impl<F> Stream<F> {
    /// The next page as bytes; empty at the end.
    fn next<R: Serialize>(mut self) -> Result<(Bytes, Stream<F>), Fault>
    where
        F: FnMut(Page) -> Result<Vec<(i64, R)>, Fault>,
    {
        let rows = (self.fetch)(self.page)?;
        self.page.after = rows.last().map(|(key, _)| *key).or(self.page.after);
        let bytes = self.writer.write(rows.iter().map(|(_, row)| row)).map_err(|error| Fault::Internal(error.to_string()))?;
        Ok((bytes, self))
    }
}

async fn streamed<R, F>(page: Page, fetch: F, writer: Writer) -> Result<HttpResponse, Problem>
where
    R: Serialize + Send + 'static,
    F: FnMut(Page) -> Result<Vec<(i64, R)>, Fault> + Send + 'static,
{
    let media_type = writer.media_type();
    // The first page is fetched before the answer begins, so that a refusal can still become a problem document.
    let start = Stream { page: Page { limit: BATCH, ..page }, fetch, writer };
    let (first, rest) = blocking(move || start.next()).await??;
    let more = stream::unfold(Some(rest), |rest| async {
        let rest = rest?;
        match blocking(move || rest.next()).await.and_then(|next| next.map_err(Problem::from)) {
            Ok((bytes, _)) if bytes.is_empty() => None,
            Ok((bytes, rest)) => Some((Ok(bytes), Some(rest))),
            // A fault in the middle cuts the connection: the client must not take a part for the whole.
            Err(problem) => Some((Err(problem.0), None)),
        }
    });
    let parts = stream::once(ready(Ok(first))).chain(more);
    let mut response = HttpResponse::Ok();
    Ok(response.content_type(media_type).insert_header((header::VARY, "Accept")).streaming(parts))
}

/// Turns rows into bytes.
enum Writer {
    Csv(Csv),
    Ndjson,
}

impl Writer {
    fn media_type(&self) -> &'static str {
        match self {
            Writer::Csv(_) => CSV_WITH_HEAD,
            Writer::Ndjson => "application/x-ndjson",
        }
    }

    fn write<'r, R: Serialize + 'r>(&mut self, rows: impl Iterator<Item = &'r R>) -> serde_json::Result<Bytes> {
        let mut out = Vec::new();
        for row in rows {
            match self {
                Writer::Csv(table) => table.write(&mut out, &serde_json::to_value(row)?),
                Writer::Ndjson => {
                    serde_json::to_writer(&mut out, row)?;
                    out.push(b'\n');
                }
            }
        }
        Ok(out.into())
    }
}

/// The forms of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Csv,
    Ndjson,
}

fn negotiate(request: &HttpRequest) -> Result<Form, Refusal> {
    let [json, csv, _] = MEDIA_TYPES;
    match preferred(request, "A list", &MEDIA_TYPES)? {
        kind if kind == json => Ok(Form::Json),
        kind if kind == csv => Ok(Form::Csv),
        _ => Ok(Form::Ndjson),
    }
}

/// What `Accept` prefers of the media types in which something is given, of equal ones the first; the first when it says nothing. Error:
/// `not_acceptable`.
pub fn preferred(request: &HttpRequest, what: &str, given: &[&'static str]) -> Result<&'static str, Refusal> {
    let refused = || Refusal::new(Code::NotAcceptable, format!("{what} is given as {}.", given.join(", ")));
    if !request.headers().contains_key(header::ACCEPT) {
        return given.first().copied().ok_or_else(refused);
    }
    let accepted = Accept::parse(request).map_err(|_| refused())?.ranked();
    let fits = |wanted: &str, kind: &str| match wanted.strip_suffix("/*") {
        Some("*") => true,
        Some(group) => kind.split('/').next() == Some(group),
        None => wanted == kind,
    };
    accepted.iter().find_map(|media| given.iter().find(|kind| fits(media.essence_str(), kind)).copied()).ok_or_else(refused)
}

/// What a cursor is bound to: eight bytes of the digest of path and filters.
fn binding(path: &str, query: &Query) -> [u8; 8] {
    let mut digest = Sha256::new().chain_update(path);
    for (name, value) in query.filters() {
        digest = digest.chain_update([0]).chain_update(name).chain_update([0]).chain_update(value);
    }
    let mut bound = [0; 8];
    bound.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    bound
}

fn seal_cursor(path: &str, query: &Query, key: i64) -> String {
    URL_SAFE_NO_PAD.encode([key.to_be_bytes(), binding(path, query)].concat())
}

fn open_cursor(path: &str, query: &Query, cursor: &str) -> Result<i64, Refusal> {
    let opened = URL_SAFE_NO_PAD.decode(cursor).ok();
    let parts = opened.as_deref().and_then(|bytes| bytes.split_first_chunk::<8>());
    let key = parts.filter(|(_, bound)| *bound == binding(path, query)).map(|(key, _)| i64::from_be_bytes(*key));
    key.ok_or_else(|| invalid("cursor", "it was not made for this list with these filters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query::{Form as Wanted, LIST, Param};
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;
    use serde_json::{Value, json};

    const PARAMS: &[Param] = &[Param::any("state", Wanted::Text)];

    async fn ask(accept: &str, text: &str, rows: i64) -> Result<(String, String), Code> {
        let request = TestRequest::with_uri("/v1/toys").insert_header((header::ACCEPT, accept)).to_http_request();
        let query = Query::parse(text, PARAMS.iter().chain(LIST)).map_err(|r| r.code)?;
        let fetch = move |page: Page| {
            let wanted = |key: &i64| page.after.is_none_or(|after| if page.descending { *key < after } else { *key > after });
            let mut keys: Vec<i64> = (1..=rows).filter(wanted).collect();
            if page.descending {
                keys.reverse();
            }
            keys.truncate(usize::try_from(page.limit).expect("small"));
            Ok(keys.into_iter().map(|key| (key, json!({"n": key, "note": "=x"}))).collect::<Vec<_>>())
        };
        let response = list(&request, &query, fetch).await.map_err(|p| p.0.code)?;
        let link = response.headers().get(header::LINK).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
        let bytes = to_bytes(response.into_body()).await.expect("a body");
        Ok((link, String::from_utf8(bytes.to_vec()).expect("UTF-8")))
    }

    #[actix_web::test]
    async fn pages_follow_each_other_by_cursor() {
        let mut text = "limit=2&state=a".to_string();
        let mut seen = Vec::new();
        loop {
            let (link, body) = ask("*/*", &text, 5).await.expect("a page");
            let page: Value = serde_json::from_str(&body).expect("JSON");
            seen.extend(page["data"].as_array().into_iter().flatten().filter_map(|row| row["n"].as_i64()));
            assert_eq!(page["has_more"], json!(!link.is_empty()));
            let Some((_, next)) = link.split_once('?') else { break };
            text = next.trim_end_matches(">; rel=\"next\"").to_string();
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }

    #[actix_web::test]
    async fn a_cursor_is_bound_to_its_filters() {
        let (_, body) = ask("*/*", "limit=2&order=desc", 5).await.expect("a page");
        let page: Value = serde_json::from_str(&body).expect("JSON");
        let cursor = page["next_cursor"].as_str().expect("a cursor");
        let (_, next) = ask("*/*", &format!("order=desc&cursor={cursor}"), 5).await.expect("a page");
        assert!(next.contains("[{\"n\":3"), "{next}");
        for text in [format!("cursor={cursor}"), format!("order=desc&state=b&cursor={cursor}"), "cursor=AAAA".into()] {
            assert_eq!(ask("*/*", &text, 5).await, Err(Code::InvalidParameter), "{text}");
        }
    }

    #[actix_web::test]
    async fn streams_give_everything() {
        let (_, csv) = ask("text/csv", "limit=2", 2500).await.expect("a stream");
        assert_eq!((csv.lines().count(), csv.lines().next(), csv.lines().nth(2500)), (2501, Some("n,note"), Some("2500,'=x")));
        let (_, ndjson) = ask("application/x-ndjson, */*;q=0.1", "order=desc", 2000).await.expect("a stream");
        assert_eq!((ndjson.lines().count(), ndjson.lines().last()), (2000, Some(r#"{"n":1,"note":"=x"}"#)));
        assert_eq!(ask("application/x-ndjson", "", 0).await, Ok(Default::default()));
        assert_eq!(ask("image/png", "", 1).await, Err(Code::NotAcceptable));
    }
}
