//! What every list and every write has in common: pages, forms, filters, and answers that are kept.

use serde_json::{Value, json};

use crate::town::{Side, Town, text};

/// Institutions whose names begin like formulas.
fn institutions(town: &Town) -> Vec<String> {
    let names = ["=1+1", "+1", "-1", "@cell", "Plain, \"quoted\"", "Example Seven", "Example Eight"];
    let make = |name: &str| text(&town.make("admin", "/v1/institutions", &json!({"name": name, "external_id": town.fresh("list")})), "id");
    names.into_iter().map(make).collect()
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().expect("rows").iter().map(|row| text(row, "id")).collect()
}

pub fn are_paged(town: &Town) {
    let made = institutions(town);
    let officer = &town.staff.officer;
    for (order, last) in [("asc", made.last()), ("desc", None)] {
        let mut seen = Vec::new();
        let mut path = format!("/v1/institutions?limit=3&order={order}");
        loop {
            let page = town.get(officer, &path).expect(200);
            let rows = ids(&page.json);
            assert!(rows.len() <= 3);
            seen.extend(rows);
            let Some(cursor) = page.json["next_cursor"].as_str() else {
                assert_eq!((&page.json["has_more"], page.header("link")), (&json!(false), ""));
                break;
            };
            let link = page.header("link").to_owned();
            path = format!("/v1/institutions?limit=3&order={order}&cursor={cursor}");
            assert_eq!(link, format!("<{path}>; rel=\"next\""));
        }
        let whole = ids(&town.get(officer, &format!("/v1/institutions?limit=200&order={order}")).expect(200).json);
        assert_eq!(seen, whole);
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), seen.len(), "a row came twice");
        assert!(last.is_none() || seen.last() == last, "the latest comes last");
    }
    let first = town.get(officer, "/v1/institutions?limit=1").expect(200).json;
    let cursor = text(&first, "next_cursor");
    for other in ["/v1/institutions?external_id=x", "/v1/institutions?order=desc", "/v1/resources?limit=1", "/v1/institutions?order=asc"] {
        let glue = if other.contains('?') { '&' } else { '?' };
        let refused = town.get(officer, &format!("{other}{glue}cursor={cursor}")).expect(400).json;
        assert_eq!(refused["code"], "invalid_parameter", "{other}");
    }
    for (query, code) in [
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("limt=1", "unknown_parameter"),
        ("cursor=x", "invalid_parameter"),
    ] {
        assert_eq!(town.get(officer, &format!("/v1/institutions?{query}")).expect(400).json["code"], code, "{query}");
    }
    let two = format!("/v1/institutions?external_id={}&external_id={}", external_id(town, &made[0]), external_id(town, &made[6]));
    assert_eq!(ids(&town.get(officer, &two).expect(200).json), [made[0].clone(), made[6].clone()]);
}

fn external_id(town: &Town, institution: &str) -> String {
    text(&town.get(&town.staff.officer, &format!("/v1/institutions/{institution}")).expect(200).json, "external_id")
}

pub fn have_other_forms(town: &Town) {
    let officer = Some(town.staff.officer.as_str());
    let table = town.server.get("/v1/institutions", officer, &[("accept", "text/csv")]).expect(200);
    assert!(table.header("content-type").starts_with("text/csv"), "{}", table.header("content-type"));
    for cell in ["'=1+1", "'+1", "'@cell", "\"Plain, \"\"quoted\"\"\""] {
        assert!(table.text.contains(&format!(",{cell},")) || table.text.contains(&format!("{cell}\r\n")), "{cell} in {}", table.text);
    }
    let rows = town.server.get("/v1/institutions", officer, &[("accept", "application/x-ndjson")]).expect(200);
    let rows: Vec<Value> = rows.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let whole = town.server.get("/v1/institutions?limit=200", officer, &[]).expect(200).json;
    assert_eq!(Some(&rows), whole["data"].as_array());
    assert_eq!(table.text.lines().count(), rows.len() + 1);
    assert_eq!(town.server.get("/v1/institutions", officer, &[("accept", "image/png")]).expect(406).json["code"], "not_acceptable");
    let lines = town.server.get("/v1/transactions", Some(&town.staff.auditor), &[("accept", "application/x-ndjson")]).expect(200);
    assert!(lines.text.lines().count() > 2500, "the stream goes on past one batch of rows");
}

/// What is read for a whole page at once is what is told of each alone.
pub fn rows_are_told_as_each_alone(town: &Town, own: &Side) {
    let auditor = &town.staff.auditor;
    let rows = |path: &str| -> Vec<Value> {
        let answer = town.server.get(path, Some(auditor), &[("accept", "application/x-ndjson")]).expect(200);
        answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let alone = |path: String| town.get(auditor, &path).expect(200).json;
    for charge in rows("/v1/charges").iter().step_by(97) {
        assert_eq!(*charge, alone(format!("/v1/charges/{}", text(charge, "id"))));
    }
    let transactions = rows("/v1/transactions");
    let reversed = transactions.iter().filter(|row| !row["reversed_by"].is_null());
    assert!(reversed.clone().count() > 0, "one was reversed");
    for transaction in reversed.chain(transactions.iter().step_by(97)) {
        assert_eq!(*transaction, alone(format!("/v1/transactions/{}", text(transaction, "id"))));
    }
    for path in [format!("/v1/grants/{}/entries", own.grant), format!("/v1/lots/{}/entries", own.lot)] {
        for line in rows(&path).iter().step_by(7) {
            let whole = alone(format!("/v1/transactions/{}", text(line, "transaction")));
            let named = ["account", "amount", "balance", "number"];
            let posting = whole["postings"].as_array().into_iter().flatten().find(|posting| posting["account"] == line["account"]);
            let posting = posting.unwrap_or_else(|| panic!("{line} is not in {whole}"));
            assert!(named.iter().all(|name| posting[name] == line[name]), "{line} {posting}");
            assert_eq!((&whole["kind"], &whole["seq"], &whole["effective_at"]), (&line["kind"], &line["seq"], &line["effective_at"]));
        }
    }
}

pub fn answers_are_kept(town: &Town) {
    let (admin, officer) = (Some(town.staff.admin.as_str()), Some(town.staff.officer.as_str()));
    let key = town.fresh("kept");
    let headers = [("idempotency-key", key.as_str())];
    let body = json!({"name": "Example Once", "kind": "university"});
    let first = town.server.post("/v1/institutions", admin, &headers, &body).expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = town.server.post("/v1/institutions", admin, &headers, &body).expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
    assert_eq!(again.header("location"), first.header("location"));
    let other = town.server.post("/v1/institutions", admin, &headers, &json!({"name": "Example Twice"})).expect(422);
    assert_eq!(other.json["code"], "idempotency_key_reused");
    let elsewhere = town.server.post("/v1/donors", admin, &headers, &body).expect(422);
    assert_eq!(elsewhere.json["code"], "idempotency_key_reused");
    let theirs = town.server.post("/v1/institutions", officer, &headers, &body).expect(201);
    assert_ne!(theirs.json["id"], first.json["id"], "keys of two persons are apart");
    // A refusal is not kept: the key serves the mended request.
    let key = town.fresh("kept");
    let headers = [("idempotency-key", key.as_str())];
    town.server.post("/v1/institutions", admin, &headers, &json!({"name": ""})).expect(422);
    town.server.post("/v1/institutions", admin, &headers, &json!({"name": "Example Mended"})).expect(201);
}
