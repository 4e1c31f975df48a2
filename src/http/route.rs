//! What a row of the route table says, and how it becomes a route of the server.
//!
//! Everything about a route that a client can notice before a handler runs is written once, in its row: method, path, roles, parameters,
//! schemas. Registration, the golden table of rights and the API description all come from it. The row's roles are checked before the
//! handler is called and are part of the handler's type, so neither a forgotten row nor a forgotten argument opens a door.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::actor::{Role, Roles};
use crate::id;
use crate::refusal::{Code, Refusal};

use super::access::Access;
use super::api::sight;
use super::grain;
use super::permit;
use super::problem::Problem;
use super::query::{LIST, Param, Query};
use super::token::Bearer;

/// A type's schema, to be asked for when the API description is made.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The schema's name.
    pub name: fn() -> Cow<'static, str>,
    /// The schema itself.
    pub schema: fn() -> RefOr<Schema>,
    /// The schemas it refers to.
    pub others: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    /// The shape of a type.
    pub const fn of<T: ToSchema>() -> Shape {
        Shape { name: T::name, schema: T::schema, others: T::schemas }
    }
}

/// One row of the table.
#[derive(Clone)]
pub struct Route {
    /// `get` or `post`.
    pub method: &'static str,
    /// As written in the row: `/v1/grants/{id:grt}`, where `grt` is the prefix of the identifiers taken, or `*` for all the rest of the path.
    pub pattern: &'static str,
    /// Who may; nobody in it means everybody, signed in or not.
    pub roles: Roles,
    /// The handler's name: `list_grants`.
    pub operation: &'static str,
    /// Status of success.
    pub status: u16,
    /// What is sent.
    pub body: Option<Shape>,
    /// What is answered: of a list, one item.
    pub answer: Option<Shape>,
    /// What is answered with 200 where nothing new is made: to a repeat, to a dismissal, to a dry run.
    pub otherwise: Option<Shape>,
    /// Whether it answers a list.
    pub lists: bool,
    /// How a client is to send, where it takes and answers NDJSON too: what no schema says.
    pub streams: Option<&'static str>,
    /// Whether reading it by the auditor's role alone is recorded.
    pub recorded: bool,
    /// The media types it answers in beside those.
    pub forms: &'static [&'static str],
    /// Whether `Accept` chooses among them.
    pub negotiates: bool,
    /// Whether it wants an `Idempotency-Key`.
    pub wants_key: bool,
    /// Whether it wants an `If-Match`.
    pub wants_version: bool,
    /// The query parameters beside those of every list.
    pub own_params: &'static [Param],
    make: fn() -> actix_web::Route,
}

/// What marks a path parameter that takes the rest of the path.
const REST: &str = "*";

/// A row of the golden table: method, path, roles and operation id.
pub type Right = (String, String, Roles, &'static str);

impl Route {
    /// A row before its schemas and flags.
    pub fn new(method: &'static str, pattern: &'static str, roles: u8, operation: &'static str, make: fn() -> actix_web::Route) -> Route {
        Route {
            method,
            pattern,
            roles: Roles(roles),
            operation,
            status: 200,
            body: None,
            answer: None,
            otherwise: None,
            lists: false,
            streams: None,
            recorded: false,
            forms: &[],
            negotiates: false,
            wants_key: false,
            wants_version: false,
            own_params: &[],
            make,
        }
    }

    /// With a success status other than 200.
    pub fn status(self, status: u16) -> Route {
        Route { status, ..self }
    }

    /// Takes a JSON body of this shape.
    pub fn body(self, shape: Shape) -> Route {
        Route { body: Some(shape), ..self }
    }

    /// Answers JSON of this shape.
    pub fn answer(self, shape: Shape) -> Route {
        Route { answer: Some(shape), ..self }
    }

    /// Answers 200 and this shape where nothing new is made.
    pub fn otherwise(self, shape: Shape) -> Route {
        Route { otherwise: Some(shape), ..self }
    }

    /// Takes and answers NDJSON too; how a client is to send it.
    pub fn stream(self, manner: &'static str) -> Route {
        Route { streams: Some(manner), ..self }
    }

    /// Answers a list, as JSON, CSV or NDJSON.
    pub fn list(self) -> Route {
        Route { lists: true, ..self }
    }

    /// Tells of persons or jobs: reading it by the auditor's role alone is recorded.
    pub fn recorded(self) -> Route {
        Route { recorded: true, ..self }
    }

    /// Answers in these media types too.
    pub fn forms(self, forms: &'static [&'static str]) -> Route {
        Route { forms, ..self }
    }

    /// Answers in these media types too, as `Accept` prefers.
    pub fn accepted(self, forms: &'static [&'static str]) -> Route {
        Route { forms, negotiates: true, ..self }
    }

    /// Wants an `Idempotency-Key`.
    pub fn key(self) -> Route {
        Route { wants_key: true, ..self }
    }

    /// Wants an `If-Match`.
    pub fn version(self) -> Route {
        Route { wants_version: true, ..self }
    }

    /// Takes these query parameters.
    pub fn query(self, own_params: &'static [Param]) -> Route {
        Route { own_params, ..self }
    }

    /// All query parameters.
    pub fn params(&self) -> impl Iterator<Item = &'static Param> + Clone + use<> {
        let every: &[Param] = if self.lists { LIST } else { &[] };
        self.own_params.iter().chain(every)
    }

    /// The path without prefixes: `/v1/grants/{id}`.
    pub fn path(&self) -> String {
        let part = |part: &str| match part.strip_prefix('{').and_then(|p| p.split_once(':')) {
            Some((name, _)) => format!("{{{name}}}"),
            None => part.to_string(),
        };
        self.pattern.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// The path's parameters, each with the prefix of its identifiers.
    pub fn path_params(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        let inner = self.pattern.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        inner.map(|text| text.split_once(':').map_or((text, None), |(name, prefix)| (name, Some(prefix).filter(|prefix| *prefix != REST))))
    }

    /// The path as it is matched: a last parameter that takes the rest takes further segments too.
    fn matched(&self) -> String {
        let rest = self.pattern.strip_suffix('}').is_some_and(|pattern| pattern.ends_with(REST));
        if rest { format!("{}*", self.path()) } else { self.path() }
    }

    /// This row of the golden table.
    pub fn right(&self) -> Right {
        (self.method.to_uppercase(), self.path(), self.roles, self.operation)
    }

    fn register(&self) -> actix_web::Route {
        let (roles, params, recorded) = (self.roles, self.params(), self.recorded.then_some(self.operation));
        (self.make)()
            .wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| admit(request, next, roles, params.clone(), recorded)))
    }
}

/// Lets a request through to its handler if its bearer may and its query is in order.
async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    roles: Roles,
    params: impl Iterator<Item = &'static Param> + Clone,
    recorded: Option<&'static str>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let bearer = (roles != Roles::default()).then(|| permit::admit(request.request(), roles)).transpose();
    match bearer.and_then(|bearer| Ok((bearer, Query::parse(request.query_string(), params)?))) {
        Ok((bearer, query)) => {
            let only = |role: Role| bearer.as_ref().is_some_and(|bearer| bearer.actor.roles.0 & roles.0 == role as u8);
            // Who is not signed in is told no more of the time than a donor is.
            let by_day = bearer.is_none() || only(Role::Donor);
            if let (Some(operation), Some(bearer)) = (recorded, &bearer)
                && sees_as_auditor_alone(operation, bearer.actor.roles)
                && let Err(problem) = record(&request, bearer, operation).await
            {
                return Ok(request.error_response(problem));
            }
            request.extensions_mut().insert(query);
            if let Some(bearer) = bearer {
                request.extensions_mut().insert(bearer);
            }
            Ok(grain::answer(by_day, next.call(request)).await?.map_into_boxed_body())
        }
        Err(refusal) => Ok(request.error_response(Problem(refusal))),
    }
}

/// Whether it is the auditor's role, and no other, that shows somebody all of what an operation shows.
fn sees_as_auditor_alone(operation: &str, roles: Roles) -> bool {
    roles.has(Role::Auditor) && sight::shown_by(operation).is_none_or(|row| row.overseers().0 & roles.0 == Role::Auditor as u8)
}

/// Records what is about to be read, so that nothing is handed out of which nobody knows.
async fn record(request: &ServiceRequest, bearer: &Bearer, operation: &'static str) -> Result<(), Problem> {
    let access = request.app_data::<Data<Access>>().ok_or_else(|| Problem::internal("nothing records what is read"))?.clone();
    // What is not even an identifier may be a name, and the journal keeps everything.
    let object = request.match_info().get("id").filter(|text| id::is_formed(text)).map(String::from);
    access.record(bearer, operation, object).await
}

/// Registers all routes. Another method at a known path is answered with the methods that are allowed there.
pub fn configure(routes: &[Route], config: &mut ServiceConfig) {
    // In this order a fixed segment comes before `{id}` and is tried first.
    let mut paths: BTreeMap<String, Vec<&Route>> = BTreeMap::new();
    routes.iter().for_each(|route| paths.entry(route.matched()).or_default().push(route));
    for (path, routes) in paths {
        let allowed = routes.iter().map(|route| route.method.to_uppercase()).collect::<Vec<_>>().join(", ");
        let resource = routes.iter().fold(web::resource(path), |resource, route| resource.route(route.register()));
        config.service(resource.default_service(web::to(move || std::future::ready(not_allowed(&allowed)))));
    }
    config.default_service(web::to(|| std::future::ready(Problem(Refusal::not_found()).error_response())));
}

fn not_allowed(allowed: &str) -> HttpResponse {
    let problem = Problem::new(Code::MethodNotAllowed, format!("Allowed here: {allowed}."));
    let mut response = problem.error_response();
    // Method names are always good header text.
    if let Ok(value) = header::HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// The bits of the roles named by their letters: D donor, O officer, R researcher, P provider, U auditor, M admin, ANY all of them.
#[macro_export]
macro_rules! roles {
    (@ D) => { $crate::actor::Role::Donor as u8 };
    (@ O) => { $crate::actor::Role::Officer as u8 };
    (@ R) => { $crate::actor::Role::Researcher as u8 };
    (@ P) => { $crate::actor::Role::Provider as u8 };
    (@ U) => { $crate::actor::Role::Auditor as u8 };
    (@ M) => { $crate::actor::Role::Admin as u8 };
    (@ ANY) => { $crate::roles!(D O R P U M) };
    ($($letter:ident)+) => { 0 $(| $crate::roles!(@ $letter))+ };
}

/// The route table. A row reads
///
/// ```text
/// method "path" [roles] module::handler (Body) => status (Answer) .flags();
/// ```
///
/// where roles are letters, or `A` for everybody, and body, answer and flags are optional. The handler of a row with roles is generic over
/// them (`async fn decide<const ROLES: u8>(permit: Permit<ROLES>, …)`), that of an `A` row is not.
#[macro_export]
macro_rules! routes {
    (@handler [A] $module:ident $handler:ident) => { $module::$handler };
    (@handler [$($role:ident)+] $module:ident $handler:ident) => { $module::$handler::<{ $crate::roles!($($role)+) }> };
    (@roles [A]) => { 0 };
    (@roles [$($role:ident)+]) => { $crate::roles!($($role)+) };
    ($($method:ident $path:literal $roles:tt $module:ident :: $handler:ident $(($body:ty))? => $status:literal $(($answer:ty))? $(.$flag:ident($($arg:expr)?))*;)*) => {
        /// Every route there is.
        pub fn routes() -> Vec<$crate::http::route::Route> {
            use $crate::http::route::{Route, Shape};
            vec![$(
                Route::new(
                    stringify!($method),
                    $path,
                    $crate::routes!(@roles $roles),
                    stringify!($handler),
                    || ::actix_web::web::$method().to($crate::routes!(@handler $roles $module $handler)),
                )
                .status($status)
                $(.body(Shape::of::<$body>()))?
                $(.answer(Shape::of::<$answer>()))?
                $(.$flag($($arg)?))*
            ),*]
        }
    };
}

#[cfg(test)]
mod tests;
