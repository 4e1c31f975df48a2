//! What the tables beside the journal say, in the words in which the journal tells it.
//!
//! Only fields are read that the journal tells too: titles and names of institutions or persons stand in their tables alone. Bounds: as those
//! of what is told.

use serde_json::{Value, json};

use super::told::{Fields, id, instant, named, outflow, whole};
use crate::directory::{self, binding, erasure, person, reading};
use crate::donations;
use crate::grants::{self, Change, amend, decision, policy, separation};
use crate::id;
use crate::ledger;
use crate::reports::disclosure;
use crate::store::{Conn, Fault, Page};
use crate::time::Time;
use crate::usage;

type Rows = Vec<(String, Fields)>;

/// All of them.
pub(super) fn all(conn: &mut Conn) -> Result<Rows, Fault> {
    let mut rows = Rows::new();
    directory(conn, &mut rows)?;
    persons(conn, &mut rows)?;
    gifts(conn, &mut rows)?;
    terms(conn, &mut rows)?;
    requests(conn, &mut rows)?;
    decisions(conn, &mut rows)?;
    lives(conn, &mut rows)?;
    given_back(conn, &mut rows)?;
    Ok(rows)
}

fn row<const N: usize>(name: impl ToString, fields: [(&'static str, Value); N]) -> (String, Fields) {
    (name.to_string(), fields.into_iter().collect())
}

fn directory(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    for (unit, name, _) in ledger::store::named_units(conn)? {
        rows.push(row(format!("unit {}", unit.code()), [("scale", json!(unit.scale())), ("name", json!(name))]));
    }
    for one in directory::store::institutions(conn, &directory::Of::default(), Page::ALL)? {
        rows.push(row(one.id, [("kind", json!(one.about.kind))]));
    }
    for one in directory::store::resources(conn, &directory::Of::default(), Page::ALL)? {
        rows.push(row(one.id, [("provider", json!(one.about.provider))]));
    }
    for project in directory::store::projects(conn, &directory::Of::default(), Page::ALL)? {
        let said = [("institution", json!(project.about.institution)), ("field_of_science", json!(project.about.field_of_science))];
        rows.push(row(project.id, said));
    }
    for member in directory::store::members(conn, None, Page::ALL)? {
        let said = [("project", json!(member.project)), ("person", json!(member.person)), ("role", json!(member.role))];
        rows.push(row(named("member", member.id.stamp()), said));
    }
    for mapping in directory::store::mappings(conn, None, Page::ALL)? {
        let account = mapping.named();
        let said = [("project", json!(mapping.project)), ("resource", json!(mapping.resource)), ("account", json!(account))];
        rows.push(row(named("mapping", mapping.id.stamp()), said));
    }
    for (project, public, seq) in disclosure::publications(conn)? {
        rows.push(row(named("publication", project.stamp()), [("public", json!(public)), ("seq", whole(seq))]));
    }
    Ok(())
}

fn persons(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    for one in person::store::persons(conn, &person::Of::default(), Page::ALL)? {
        let said = [
            ("institution", json!(one.about.institution)),
            ("not_before", one.not_before.map(instant).unwrap_or_default()),
            ("erased", json!(one.is_erased())),
        ];
        rows.push(row(one.id, said));
    }
    for declared in person::store::affiliations(conn, None, Page::ALL)? {
        let said = [
            ("person", json!(declared.person)),
            ("institution", json!(declared.institution)),
            ("since", instant(declared.since)),
            ("declared_by", json!(declared.declared_by)),
        ];
        rows.push(row(named("affiliation", declared.id.stamp()), said));
    }
    for one in binding::store::bindings(conn, &binding::Of::default(), Page::ALL)? {
        let told = one.told();
        let mut said: Fields =
            ["person", "role", "donor", "project", "provider", "limit"].map(|name| (name, told[name].clone())).into_iter().collect();
        said.insert("state", one.state.word().into());
        said.insert("proposed_by", json!(one.proposed_by));
        said.insert("confirmed_by", json!(one.confirmed_by));
        said.insert("revoked_by", json!(one.revoked_by));
        rows.push((one.id.to_string(), said));
    }
    for one in separation::store::conflicts(conn, None, Page::ALL)? {
        let (institution, project) = match one.with {
            separation::Party::Institution(id) => (json!(id), Value::Null),
            separation::Party::Project(id) => (Value::Null, json!(id)),
        };
        let said = [("person", json!(one.person)), ("institution", institution), ("project", project)];
        rows.push(row(named("conflict", one.id.stamp()), said));
    }
    for one in erasure::store::erasures(conn, &None, Page::ALL)? {
        let said = [
            ("ground", json!(one.ground.word())),
            ("person", json!(one.person)),
            ("erased_by", json!(one.by)),
            ("charges", whole(one.charges)),
            ("records", whole(one.records)),
            ("seq", whole(one.seq)),
        ];
        rows.push(row(one.id, said));
    }
    for one in reading::store::readings(conn, &None, Page::ALL)? {
        let said = [("person", json!(one.person)), ("operation", json!(one.operation)), ("object", json!(one.object))];
        rows.push(row(named("reading", one.id.stamp()), said));
    }
    Ok(())
}

fn gifts(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    for donor in donations::store::donors(conn, &donations::Of::default(), Page::ALL)? {
        rows.push(row(donor.id, [("kind", json!(donor.about.kind))]));
    }
    for donation in donations::store::donations(conn, &donations::Of::default(), Page::ALL)? {
        let about = donation.about;
        let said = [
            ("donor", json!(about.donor)),
            ("pledged", json!(about.pledged.to_string())),
            ("unit", json!(about.unit.code())),
            ("terms", json!(about.terms)),
            ("draw_priority", json!(about.draw_priority)),
            ("on_expiry", json!(about.on_expiry.word())),
            ("state", json!(donation.state)),
        ];
        rows.push(row(donation.id, said));
    }
    for lot in donations::store::lots(conn, &donations::Of::default(), Page::ALL)? {
        let said = [
            ("donation", json!(lot.donation)),
            ("amount", whole(lot.amount.minor)),
            ("delivered_at", instant(lot.delivered_at)),
            ("expires_at", lot.expires_at.map(instant).unwrap_or_default()),
        ];
        rows.push(row(lot.id, said));
    }
    Ok(())
}

fn terms(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    for rate in usage::store::rates(conn, &usage::Of::default(), Page::ALL)? {
        let qos: serde_json::Map<String, Value> =
            rate.about.qos.iter().map(|(qos, factor)| (qos.clone(), json!(factor.to_string()))).collect();
        let said = [
            ("resource", json!(rate.about.resource)),
            ("meter", json!(rate.about.meter)),
            ("price", json!(rate.about.price.to_string())),
            ("unit", json!(rate.about.price.unit.code())),
            ("from", instant(rate.about.from)),
            ("qos", Value::Object(qos)),
            ("confirmed_at", rate.confirmed_at.map(instant).unwrap_or_default()),
        ];
        rows.push(row(rate.id, said));
    }
    for policy in policy::store::policies(conn, None, Page::ALL)? {
        let text = |limit: Option<crate::amount::Amount>| json!(limit.map(|limit| limit.to_string()));
        let said = [
            ("unit", json!(policy.about.unit.code())),
            ("two_above", text(policy.about.two_above)),
            ("three_above", text(policy.about.three_above)),
            ("carry_over", json!(policy.about.carry_over)),
            ("refund_alone", text(policy.about.refund_alone)),
            ("confirmed_at", policy.confirmed_at.map(instant).unwrap_or_default()),
        ];
        rows.push(row(policy.id, said));
    }
    Ok(())
}

fn requests(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    for grant in grants::store::grants(conn, &grants::Of::default(), Page::ALL)? {
        let about = &grant.about;
        let said = [
            ("project", json!(about.project)),
            ("requested", json!(about.requested.to_string())),
            ("unit", json!(about.requested.unit.code())),
            ("from", instant(about.period.from)),
            ("to", instant(about.period.to)),
            ("resources", json!(about.resources)),
            ("renews", json!(about.renews)),
            ("purpose", json!(about.purpose)),
            ("justification", json!(decision::hash(&json!(about.justification)))),
            ("state", json!(grant.state.word())),
            ("awarded", whole(grant.awarded.minor)),
            ("overdraft", json!(grant.overdraft.word())),
            ("suspended_at", grant.suspended_at.map(instant).unwrap_or_default()),
            ("booked", grant.booked.map(whole).unwrap_or_default()),
            ("round", whole(grant.round)),
            ("version", whole(grant.version)),
        ];
        rows.push(row(grant.id, said));
    }
    for one in amend::store::amendments(conn, &amend::store::Of::default(), Page::ALL)? {
        let (ends_at, to): (Option<Time>, Option<id::GrantId>) = match one.change {
            Change::Extension(end) => (Some(end), None),
            Change::Transfer(_, to) => (None, Some(to)),
            Change::Supplement(_) | Change::Reduction(_) | Change::Closing => (None, None),
        };
        let said = [
            ("grant", json!(one.grant)),
            ("kind", json!(one.change.word())),
            ("amount", json!(one.change.amount().map(|amount| amount.to_string()))),
            ("ends_at", ends_at.map(instant).unwrap_or_default()),
            ("to", json!(to)),
            ("reason", json!(decision::hash(&json!(one.reason)))),
            ("state", json!(one.state)),
            ("version", whole(one.version)),
        ];
        rows.push(row(one.id, said));
    }
    Ok(())
}

fn decisions(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    let raised: rustc_hash::FxHashMap<i64, i64> = grants::store::signed(conn, None)?.into_iter().map(|row| (row.id, row.raised)).collect();
    for one in grants::store::decisions(conn, None, Page::ALL)? {
        let raises = match raised.get(&one.id.stamp()).copied().unwrap_or(0) {
            0 => json!(false),
            all if all == one.awarded.minor => json!(true),
            part => whole(part),
        };
        let said = [
            ("grant", json!(one.grant)),
            ("amendment", json!(one.amendment)),
            ("verdict", json!(one.verdict)),
            ("awarded", json!(one.awarded.to_string())),
            ("lots", json!(decision::named(&one.lots))),
            ("bound", json!(one.bound)),
            ("reason", json!(decision::hash(&json!(one.reason)))),
            ("officer", json!(one.officer)),
            ("effective", json!(one.effective)),
            ("round", whole(one.round)),
            ("raises", raises),
        ];
        rows.push(row(one.id, said));
    }
    Ok(())
}

/// The steps of grants, and what left them otherwise than by use.
fn lives(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    for step in grants::store::steps(conn, None, Page::ALL)? {
        let said = [
            ("grant", json!(step.grant)),
            ("amendment", json!(step.amendment)),
            ("step", json!(step.step)),
            ("person", json!(step.person)),
            ("version", whole(step.version)),
            ("reason", json!(step.reason.map(|reason| decision::hash(&json!(reason))))),
        ];
        rows.push(row(named("step", step.id), said));
    }
    for one in grants::store::outflows(conn, None)? {
        let said = [("kind", json!(one.kind)), ("amount", whole(one.amount))];
        rows.push(row(outflow(one.seq, one.grant.stamp(), one.lot.stamp()), said));
    }
    Ok(())
}

fn given_back(conn: &mut Conn, rows: &mut Rows) -> Result<(), Fault> {
    for one in usage::store::all_refunds(conn)? {
        let said = [("charge", whole(one.charge)), ("amount", whole(one.amount)), ("seq", whole(one.seq))];
        rows.push(row(id::<id::Refund>(one.id), said));
    }
    for one in ledger::store::reversals(conn)? {
        rows.push(row(named("reversal", one.seq), [("reversed_by", json!(one.reversed_by))]));
    }
    for one in usage::store::all_covers(conn)? {
        let said = [("charge", whole(one.charge)), ("amount", whole(one.amount)), ("lot", whole(one.lot)), ("seq", whole(one.seq))];
        rows.push(row(named("cover", one.id), said));
    }
    Ok(())
}
