//! Schemas of the values, as the API description states them.

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::amount::Amount;
use crate::id::{Id, Kind};
use crate::time::{Period, Time};

use super::openapi::id_pattern;

fn text() -> ObjectBuilder {
    Object::builder().schema_type(Type::String)
}

impl<K: Kind> PartialSchema for Id<K> {
    fn schema() -> RefOr<Schema> {
        text().pattern(Some(id_pattern(K::PREFIX))).into()
    }
}

impl<K: Kind> ToSchema for Id<K> {
    fn name() -> Cow<'static, str> {
        format!("{}_id", K::PREFIX).into()
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).examples([json!("2026-03-02T10:00:00.000000Z")]).into()
    }
}

impl ToSchema for Time {}

impl PartialSchema for Period {
    fn schema() -> RefOr<Schema> {
        let time = || Ref::from_schema_name(Time::name());
        let object = Object::builder().schema_type(Type::Object).description(Some("Half-open: from, until before to."));
        object.property("from", time()).required("from").property("to", time()).required("to").into()
    }
}

impl ToSchema for Period {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Time::name().into_owned(), Time::schema()));
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        // Answers may be negative; requests may not, which the ledger checks.
        let value = text().pattern(Some(r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?$")).examples([json!("1250.500000")]);
        let unit = text().pattern(Some("^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$")).examples([json!("USD")]);
        Object::builder()
            .schema_type(Type::Object)
            .property("value", value)
            .required("value")
            .property("unit", unit)
            .required("unit")
            .into()
    }
}

impl ToSchema for Amount {}
