//! The verifiable log over HTTP: for everybody what the log shows everybody, in the layout of C2SP tlog-tiles; receipts for those who see
//! the charge.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actor::{Actor, Roles};
use crate::attest::{bundle, keep, receipt, store};
use crate::http::body::PathId;
use crate::http::permit::Permit;
use crate::http::query::{Form, Param, Query};
use crate::id;
use crate::refusal::{Code, Refusal};
use crate::store::{Conn, Fault};
use crate::tlog::hash::{self, to_base64};
use crate::tlog::tile::{Tile, Tiles, encode, encode_bundle};

use super::door::{Answered, App};
use super::scope::Scope;
use super::usage::own_charge;

/// What texts are sent as.
const TEXT: &str = "text/plain; charset=utf-8";

/// The size of the newest signed tree: nothing beyond it is shown.
fn signed(conn: &mut Conn) -> Result<u64, Fault> {
    Ok(store::last_checkpoint(conn)?.ok_or_else(Refusal::not_found)?.0.unsigned_abs())
}

fn text(body: String) -> Answered {
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).content_type(TEXT).body(body))
}

/// Shows the newest signed checkpoint, with the cosignatures that came in by now.
pub async fn log_checkpoint(app: Data<App>) -> Answered {
    text(app.read_log(|conn| Ok(store::last_checkpoint(conn)?.ok_or_else(Refusal::not_found)?.1)).await?)
}

/// Shows the keys that checkpoints are or were signed with, the newest first, one a line.
pub async fn log_vkeys(app: Data<App>) -> Answered {
    text(app.read_log(keep::vkeys).await?.iter().map(|key| format!("{key}\n")).collect())
}

/// Shows the policy that the log is published under, in the form of C2SP tlog-policy: its key, its witnesses, how many are enough.
pub async fn log_policy(app: Data<App>) -> Answered {
    let newest = app.read_log(keep::vkeys).await?.into_iter().next().ok_or_else(Refusal::not_found)?;
    text(app.logged.policy.as_ref().map_or_else(|| format!("log {newest}\nquorum none\n"), |policy| policy.text(&newest)))
}

/// Shows a tile of the tree's hashes, or with the level `entries` a bundle of leaves.
pub async fn log_tile(path: Path<(String, String)>, app: Data<App>) -> Answered {
    let (level, index) = path.into_inner();
    let asked = Tile::parse(&format!("{level}/{index}")).ok_or_else(Refusal::not_found)?;
    let body = app.read_log(move |conn| tile(conn, asked)).await?;
    // What a tile holds never changes; a partial one is only asked for until the next is signed.
    let kept = [(header::CACHE_CONTROL, "public, max-age=31536000, immutable"), (header::CONTENT_TYPE, "application/octet-stream")];
    let mut answer = HttpResponse::Ok();
    kept.into_iter().for_each(|header| {
        answer.insert_header(header);
    });
    Ok(answer.body(body))
}

fn tile(conn: &mut Conn, (tile, leaves): (Tile, bool)) -> Result<Vec<u8>, Fault> {
    let there = Tile::of(tile.level, tile.index, signed(conn)?).filter(|there| there.width >= tile.width);
    there.ok_or_else(Refusal::not_found)?;
    if !leaves {
        let found = store::Kept { conn }.tiles(&[tile])?;
        return Ok(encode(&found.concat()));
    }
    let from = tile.index * u64::from(crate::tlog::tile::FULL);
    let rows = store::leaves(conn, from, from + u64::from(tile.width))?;
    encode_bundle(rows.iter().map(|row| row.leaf.as_bytes())).ok_or_else(|| Fault::Internal("a leaf is too long for a bundle".into()))
}

/// Which leaf, in the tree of which size.
pub const INCLUSION: &[Param] = &[Param::one("index", Form::Number(0, i64::MAX)), Param::one("size", Form::Number(1, i64::MAX))];
/// From the tree of which size to that of which.
pub const CONSISTENCY: &[Param] = &[Param::one("from", Form::Number(0, i64::MAX)), Param::one("to", Form::Number(0, i64::MAX))];

/// That a leaf is in a tree (RFC 6962 §2.1.1).
#[derive(Serialize, ToSchema)]
pub struct InclusionProof {
    index: u64,
    size: u64,
    /// In base64.
    leaf_hash: String,
    /// In base64, from the leaf's neighbour up.
    path: Vec<String>,
}

/// That a tree is the beginning of another (RFC 6962 §2.1.2).
#[derive(Serialize, ToSchema)]
pub struct ConsistencyProof {
    from: u64,
    to: u64,
    /// In base64.
    path: Vec<String>,
}

fn asked(query: &Query, name: &str) -> Option<u64> {
    query.number(name).and_then(|number| u64::try_from(number).ok())
}

fn unprovable(signed: u64) -> Refusal {
    Refusal::new(Code::InvalidParameter, format!("The signed log has {signed} leaves; what is asked for lies beyond it, or in no order."))
}

/// Proves that a leaf is in the log; in the newest signed tree unless a size is named.
pub async fn prove_inclusion(query: Query, app: Data<App>) -> Answered {
    let (index, size) = (asked(&query, "index").unwrap_or(0), asked(&query, "size"));
    let proof = app.read_log(move |conn| {
        let signed = signed(conn)?;
        let size = size.unwrap_or(signed);
        let path = if size <= signed { keep::inclusion(conn, index, size)? } else { None };
        let path = path.ok_or_else(|| unprovable(signed))?;
        let row = store::leaves(conn, index, index + 1)?.pop().ok_or_else(|| Fault::Internal(format!("leaf {index} is missing")))?;
        let leaf_hash = to_base64(&hash::leaf(row.leaf.as_bytes()));
        Ok(InclusionProof { index, size, leaf_hash, path: path.iter().map(to_base64).collect() })
    });
    Ok(HttpResponse::Ok().json(proof.await?))
}

/// Proves that the log of one size is the beginning of that of another; of the newest signed unless it is named.
pub async fn prove_consistency(query: Query, app: Data<App>) -> Answered {
    let (from, to) = (asked(&query, "from").unwrap_or(0), asked(&query, "to"));
    let proof = app.read_log(move |conn| {
        let signed = signed(conn)?;
        let to = to.unwrap_or(signed);
        let path = if to <= signed { keep::consistency(conn, from, to)? } else { None };
        let path = path.ok_or_else(|| unprovable(signed))?;
        Ok(ConsistencyProof { from, to, path: path.iter().map(to_base64).collect() })
    });
    Ok(HttpResponse::Ok().json(proof.await?))
}

/// The size of the checkpoint that the donor keeps.
pub const SINCE: &[Param] = &[Param::one("since", Form::Number(1, i64::MAX))];

/// Hands a donor what proves the lines of their lots, to be checked offline; since a checkpoint that they keep, if they say which.
pub async fn donor_proof<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Donor>, query: Query, app: Data<App>) -> Answered {
    let since = asked(&query, "since");
    let wanted = app.read(move |conn| {
        Scope::of(conn, &who, Roles(R))?.donor_is(id.stamp())?;
        bundle::asked(conn, id, since)
    });
    let wanted = wanted.await?;
    Ok(HttpResponse::Ok().json(app.read_log(move |conn| bundle::make(conn, &wanted)).await?))
}

/// Shows the receipt of a charge (C2SP tlog-proof), once the log has it.
pub async fn charge_receipt<const R: u8>(who: Permit<R>, PathId(id): PathId<id::Charge>, app: Data<App>) -> Answered {
    let actor = Actor::clone(&who);
    let values = app.read(move |conn| {
        let row = own_charge(conn, &actor, Roles(R), id)?;
        receipt::values(conn, &row)
    });
    let values = values.await?;
    text(app.read_log(move |conn| receipt::make(conn, &values)).await?.text())
}
