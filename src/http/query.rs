//! Query strings, read strictly against what an endpoint declares.
//!
//! The route table names the parameters of every endpoint; [`Query::parse`] refuses all others, so no handler can forget to. Repeated
//! parameters mean *or*, where an endpoint allows it; ranges are written `effective_at[gte]=…`.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::id::{Id, Kind};
use crate::refusal::{Code, Refusal};
use crate::time::Time;

use super::problem::Problem;

/// What a parameter's value must look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// An identifier with this prefix.
    Id(&'static str),
    /// An instant in RFC 3339.
    Time,
    /// 1–180 characters.
    Text,
    /// One of the words.
    OneOf(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(i64, i64),
}

/// One declared parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name on the wire.
    pub name: &'static str,
    /// What its value must look like.
    pub form: Form,
    /// Whether it may be repeated, meaning *or*.
    pub repeatable: bool,
    /// Whether it takes `[gte] [gt] [lte] [lt]` beside plain equality.
    pub ranged: bool,
}

impl Param {
    /// A parameter given once at most.
    pub const fn one(name: &'static str, form: Form) -> Param {
        Param { name, form, repeatable: false, ranged: false }
    }

    /// A parameter that may be repeated.
    pub const fn any(name: &'static str, form: Form) -> Param {
        Param { name, form, repeatable: true, ranged: false }
    }

    /// A parameter with ranges.
    pub const fn range(name: &'static str, form: Form) -> Param {
        Param { name, form, repeatable: false, ranged: true }
    }
}

/// The parameters of every list.
pub const LIST: &[Param] =
    &[Param::one("limit", Form::Number(1, 200)), Param::one("cursor", Form::Text), Param::one("order", Form::OneOf(&["asc", "desc"]))];

/// How a ranged parameter compares.
pub const RANGES: [&str; 4] = ["gte", "gt", "lte", "lt"];

/// A query string that was found in order.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Name (with its range, if any) and value, in the order sent.
    given: Vec<(String, String)>,
}

impl Query {
    /// Reads a query string against the declared parameters. Errors: `unknown_parameter`, `invalid_parameter`, and `wrong_id_type` later,
    /// when the identifier is taken.
    pub fn parse<'p>(text: &str, declared: impl Iterator<Item = &'p Param> + Clone) -> Result<Query, Refusal> {
        let unreadable = |_| Refusal::new(Code::InvalidParameter, "The query is not of the form name=value&name=value in UTF-8.");
        let given = web::Query::<Vec<(String, String)>>::from_query(text).map_err(unreadable)?.into_inner();
        for (index, (name, value)) in given.iter().enumerate() {
            let (base, range) = name.strip_suffix(']').and_then(|n| n.split_once('[')).map_or((name.as_str(), None), |(n, r)| (n, Some(r)));
            let known = declared.clone().find(|p| p.name == base && range.is_none_or(|r| p.ranged && RANGES.contains(&r)));
            let param = known.ok_or_else(|| unknown(name, declared.clone()))?;
            if !param.repeatable && given.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(invalid(name, "it can be given once only"));
            }
            check(param.form, name, value)?;
        }
        Ok(Query { given })
    }

    /// The first value.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values; `None` when there is none, so that an absent filter filters nothing.
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        let values: Vec<String> = self.given.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect();
        (!values.is_empty()).then_some(values)
    }

    /// An identifier. Error: `wrong_id_type`.
    pub fn id<K: Kind>(&self, name: &str) -> Result<Option<Id<K>>, Refusal> {
        self.text(name).map(Id::parse).transpose()
    }

    /// All identifiers; `None` when there is none. Error: `wrong_id_type`.
    pub fn ids<K: Kind>(&self, name: &str) -> Result<Option<Vec<Id<K>>>, Refusal> {
        self.texts(name).map(|texts| texts.iter().map(|text| Id::parse(text)).collect()).transpose()
    }

    /// An instant; `effective_at[gte]` names a range.
    pub fn time(&self, name: &str) -> Option<Time> {
        self.text(name).and_then(Time::parse)
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// Whether a `true`-or-`false` parameter says `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The filters alone, sorted: what a cursor is bound to.
    pub(super) fn filters(&self) -> Vec<&(String, String)> {
        let paging = |name: &str| name == "limit" || name == "cursor";
        let mut filters: Vec<_> = self.given.iter().filter(|(name, _)| !paging(name)).collect();
        filters.sort();
        filters
    }

    /// The query string with another cursor.
    pub(super) fn with_cursor(&self, cursor: &str) -> String {
        let kept = self.given.iter().filter(|(name, _)| name != "cursor").map(|(name, value)| (name.as_str(), value.as_str()));
        kept.chain([("cursor", cursor)]).map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
    }
}

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Query, Problem>>;

    /// What the route found in order before it called the handler.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Query>().cloned().unwrap_or_default()))
    }
}

fn check(form: Form, name: &str, value: &str) -> Result<(), Refusal> {
    let wanted = match form {
        // Whether the identifier is sound is told by its type, when it is taken.
        Form::Id(prefix) if value.starts_with(prefix) => return Ok(()),
        Form::Id(prefix) => {
            let detail = format!("{name} must be an identifier that begins with {prefix}_.");
            return Err(Refusal::new(Code::WrongIdType, detail));
        }
        Form::Time => Time::parse(value).is_none().then(|| "it must be an RFC 3339 time such as 2026-03-02T10:00:00Z".to_string()),
        Form::Text => {
            (!(1..=180).contains(&value.chars().count()) || value.contains('\0')).then(|| "it must have 1 to 180 characters".into())
        }
        Form::OneOf(words) => (!words.contains(&value)).then(|| format!("it must be one of {}", words.join(", "))),
        Form::Number(from, to) => {
            let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let within = value.parse().is_ok_and(|number| (from..=to).contains(&number));
            (!plain || !within).then(|| format!("it must be a whole number from {from} to {to}"))
        }
    };
    wanted.map_or(Ok(()), |wanted| Err(invalid(name, &wanted)))
}

/// The refusal for a parameter that can't be accepted.
pub(super) fn invalid(name: &str, wanted: &str) -> Refusal {
    Refusal::new(Code::InvalidParameter, format!("{}: {wanted}.", shown(name))).with("parameter", shown(name))
}

fn unknown<'p>(name: &str, declared: impl Iterator<Item = &'p Param>) -> Refusal {
    let known: Vec<&str> = declared.map(|p| p.name).collect();
    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
    Refusal::new(Code::UnknownParameter, format!("{:?} is not known here; known are: {known}.", shown(name))).with("parameter", shown(name))
}

fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    let encoded = |b: u8| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Donor, DonorId, Grant};

    const PARAMS: &[Param] = &[
        Param::any("donor", Form::Id("dnr")),
        Param::any("state", Form::OneOf(&["active", "closed"])),
        Param::range("effective_at", Form::Time),
        Param::one("q", Form::Text),
    ];

    fn parse(text: &str) -> Result<Query, Refusal> {
        Query::parse(text, PARAMS.iter().chain(LIST))
    }

    #[test]
    fn declared_parameters_are_read() {
        let donor = DonorId::from_stamp(5);
        let text = format!("donor={donor}&state=active&state=closed&effective_at[gte]=2026-03-02T10%3A00%3A00Z&limit=7&q=a+b");
        let query = parse(&text).expect("in order");
        assert_eq!(query.ids::<Donor>("donor"), Ok(Some(vec![donor])));
        assert_eq!(query.texts("state"), Some(vec!["active".to_string(), "closed".to_string()]));
        assert!(query.time("effective_at[gte]").is_some() && query.time("effective_at").is_none());
        assert_eq!((query.number("limit"), query.text("q"), query.texts("none")), (Some(7), Some("a b"), None));
        assert_eq!(query.id::<Grant>("donor").map_err(|r| r.code), Err(Code::WrongIdType));
        assert!(query.with_cursor("c/1").ends_with("effective_at%5Bgte%5D=2026-03-02T10%3A00%3A00Z&limit=7&q=a%20b&cursor=c%2F1"));
    }

    #[test]
    fn everything_else_is_refused() {
        let cases = [
            ("donr=x", Code::UnknownParameter),
            ("q[gte]=1", Code::UnknownParameter),
            ("effective_at[eq]=2026-03-02T10:00:00Z", Code::UnknownParameter),
            ("[gte]=1", Code::UnknownParameter),
            ("donor=grt_1", Code::WrongIdType),
            ("state=open", Code::InvalidParameter),
            ("effective_at[gte]=yesterday", Code::InvalidParameter),
            ("limit=0", Code::InvalidParameter),
            ("limit=201", Code::InvalidParameter),
            ("limit=+5", Code::InvalidParameter),
            ("limit=5&limit=6", Code::InvalidParameter),
            ("order=up", Code::InvalidParameter),
            ("q=", Code::InvalidParameter),
            ("q=%00", Code::InvalidParameter),
        ];
        for (text, code) in cases {
            assert_eq!(parse(text).map(|_| ()).map_err(|r| r.code), Err(code), "{text}");
        }
    }
}
