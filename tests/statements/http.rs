//! Statements over HTTP: whose they are, in which forms, and that a donor's tells of no person, job or hour in any of them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::books::{Books, SECRETS};
use crate::support::database::databases;
use crate::support::server::{Answer, Server};

/// What a donor is never told, beside names: persons, and identifiers that name a project or carry the time of a job.
const HIDDEN: [&str; 9] = ["prs_", "chg_", "grt_", "prj_", "usg_", "hld_", "txn_", "rfd_", "dec_"];

struct Desk {
    server: Server,
    donor: String,
    other: String,
    researcher: String,
    provider: String,
    officer: String,
    auditor: String,
    admin: String,
    books: Books,
}

impl Desk {
    fn open(books: Books) -> Desk {
        // The key of the folder signs no log of these books.
        let alone = ["--sweep-every", "--events-every", "--log-every", "--audit-every"].map(|errand| [errand, "0"]);
        let server = Server::start_with(&books.database, &books.keys(), |command| command.args(alone.concat()));
        let [a, b] = books.donors.map(|donor| donor.to_string());
        Desk {
            donor: books.token("donor", "a", &["--donor", &a]),
            other: books.token("donor", "b", &["--donor", &b]),
            researcher: books.token("researcher", "r", &["--project", &books.projects[0].to_string()]),
            provider: books.token("provider", "p", &["--provider", &books.provider.to_string()]),
            officer: books.token("officer", "o", &[]),
            auditor: books.token("auditor", "u", &[]),
            admin: books.token("admin", "m", &[]),
            server,
            books,
        }
    }

    fn post(&self, token: &str, key: &str, body: &Value) -> Answer {
        self.server.post("/v1/statements", Some(token), &[("idempotency-key", key)], body)
    }

    fn make(&self, token: &str, key: &str, of: &str, id: &str) -> Value {
        self.post(token, key, &asked(of, id)).expect(201).json
    }

    fn read(&self, token: &str, path: &str, accept: &str) -> Answer {
        self.server.get(path, Some(token), &[("accept", accept)])
    }
}

fn asked(of: &str, id: &str) -> Value {
    json!({of: id, "period": {"from": "2026-01-01T00:00:00Z", "to": "2026-04-29T00:00:00Z"}})
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn a_donors_statement_tells_of_no_person_no_job_and_no_hour() {
    for database in databases() {
        let desk = Desk::open(Books::of_four_months(database));
        let donor = desk.books.donors[0].to_string();
        let made = desk.make(&desk.donor, "one", "donor", &donor);
        assert_eq!(made["made_by"], Value::Null);
        let listed = desk.server.get("/v1/statements", Some(&desk.donor), &[]).expect(200);
        assert_eq!(listed.json["data"], json!([made]), "and the answer is what is listed");
        let mut told = vec![made.to_string()];
        for form in ["json", "html", "csv"] {
            told.push(desk.server.get(text(&made, form), Some(&desk.donor), &[]).expect(200).text);
        }
        for told in told {
            for hidden in HIDDEN.iter().chain(&SECRETS) {
                assert!(!told.contains(hidden), "it tells {hidden}: {told}");
            }
            let clock =
                |bytes: &[u8]| bytes[0].is_ascii_digit() && bytes[1].is_ascii_digit() && bytes[2] == b':' && bytes[3].is_ascii_digit();
            let times: Vec<_> = told.as_bytes().windows(4).enumerate().filter(|(_, bytes)| clock(bytes)).map(|(at, _)| at).collect();
            for at in times {
                let time = told.get(at.saturating_sub(11)..at + 16).unwrap_or_default();
                assert!(time.contains("T00:00:00.000000Z") || time.contains("00:00.000000Z"), "it tells the hour {time}");
            }
        }
        let page = desk.server.get(text(&made, "html"), Some(&desk.donor), &[]).text;
        for outside in ["<script", "http://", "https://", "url(", "@import", " on"] {
            let scripted = page.split('<').skip(1).filter_map(|tag| tag.split('>').next()).any(|tag| tag.contains(outside));
            assert!(!scripted && (outside == " on" || !page.contains(outside)), "the page asks for nothing from elsewhere: {outside}");
        }
    }
}

#[test]
fn each_sees_their_own_in_the_forms_there_are() {
    for database in databases() {
        let desk = Desk::open(Books::of_four_months(database));
        let (donor, project) = (desk.books.donors[0].to_string(), desk.books.projects[0].to_string());
        let provider = desk.books.provider.to_string();
        let of_donor = desk.make(&desk.donor, "one", "donor", &donor);
        let of_project = desk.make(&desk.researcher, "one", "project", &project);
        let of_provider = desk.make(&desk.provider, "one", "provider", &provider);
        let others = desk.make(&desk.officer, "one", "project", &desk.books.projects[1].to_string());
        assert!(text(&others, "made_by").starts_with("prs_"), "staff is told who had it made");
        // The same again is the same, by whomever; its key repeats the answer.
        let again = desk.post(&desk.officer, "two", &asked("donor", &donor)).expect(200).json;
        assert_eq!((&again["id"], &again["sha256"]), (&of_donor["id"], &of_donor["sha256"]));
        let replayed = desk.post(&desk.donor, "one", &asked("donor", &donor)).expect(201);
        assert_eq!((replayed.header("idempotency-replayed"), &replayed.json), ("true", &of_donor));
        let everybody = [&desk.donor, &desk.other, &desk.researcher, &desk.provider, &desk.officer, &desk.auditor, &desk.admin];
        for (made, statuses, of, id) in [
            (&of_donor, [200, 404, 404, 404, 200, 200, 403], "donor", &donor),
            (&of_project, [404, 404, 200, 404, 200, 200, 403], "project", &project),
            (&of_provider, [404, 404, 404, 200, 200, 200, 403], "provider", &provider),
        ] {
            let path = format!("/v1/statements/{}", text(made, "id"));
            let read = everybody.map(|token| desk.server.get(&path, Some(token), &[]).status);
            assert_eq!(read, statuses, "{of}");
            let posted = everybody.map(|token| desk.post(token, &format!("again-{of}"), &asked(of, id)).status);
            assert_eq!(posted, statuses, "{of}");
        }
        let listed = everybody.map(|token| desk.server.get("/v1/statements", Some(token), &[]).json["data"].as_array().map_or(0, Vec::len));
        assert_eq!(listed, [1, 0, 1, 1, 4, 4, 0]);
        let narrowed = desk.server.get(&format!("/v1/statements?project={project}&donor={donor}"), Some(&desk.officer), &[]).expect(200);
        assert_eq!(narrowed.json["data"].as_array().map(Vec::len), Some(2));
        forms(&desk, &of_project);
        let readings = desk.server.get("/v1/readings?limit=200", Some(&desk.admin), &[]).expect(200).json;
        let read = readings["data"].as_array().expect("readings").iter().filter(|one| one["operation"] == "get_statement").count();
        assert_eq!(read, 3, "who reads everything is seen reading");
    }
}

/// A statement's forms, by `Accept` and by address.
fn forms(desk: &Desk, made: &Value) {
    let path = format!("/v1/statements/{}", text(made, "id"));
    let canonical = desk.read(&desk.researcher, &path, "application/json").expect(200);
    let hash: String = Sha256::digest(canonical.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((hash.as_str(), canonical.header("etag")), (text(made, "sha256"), format!("\"{hash}\"").as_str()));
    assert!(!SECRETS[2..].iter().any(|secret| canonical.text.contains(secret)), "what is hashed names no job");
    let page = desk.read(&desk.researcher, &path, "text/html,application/xhtml+xml,*/*;q=0.8").expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(page.text.contains("secret-cluster secret-job-first-0"), "the page names the job as long as it is known");
    assert!(page.text.contains("/v1/charges/chg_") && page.text.contains("/v1/refunds/rfd_"), "figures lead to the entries behind them");
    let table = desk.read(&desk.researcher, &path, "text/csv").expect(200);
    assert_eq!(table.text, desk.server.get(text(made, "csv"), Some(&desk.researcher), &[]).text);
    assert!(table.header("content-disposition").contains(".csv"));
    desk.read(&desk.researcher, &path, "image/png").expect(406);
    desk.server.get(&format!("{path}?format=pdf"), Some(&desk.researcher), &[]).expect(400);
    let gift = desk.post(&desk.officer, "gift", &asked("donor", &desk.books.donors[0].to_string())).json;
    let table = desk.server.get(text(&gift, "csv"), Some(&desk.officer), &[]).expect(200).text;
    assert!(table.contains(",'=1+1,") && !table.contains(",=1+1"), "no cell is a formula: {table}");
}

#[test]
fn what_can_not_be_made_is_refused() {
    for database in databases() {
        let desk = Desk::open(Books::of_four_months(database));
        let (donor, project) = (desk.books.donors[0].to_string(), desk.books.projects[0].to_string());
        let days = |from: &str, to: &str| json!({"from": from, "to": to});
        let good = days("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        for (at, (body, code)) in [
            (json!({"period": good}), "required"),
            (json!({"donor": donor, "project": project, "period": good}), "required"),
            (json!({"donor": project, "period": good}), "wrong_id_type"),
            (json!({"donor": donor}), "required"),
            (json!({"donor": donor, "period": days("2026-01-01T00:00:00Z", "2026-01-01T12:00:00Z")}), "malformed"),
            (json!({"donor": donor, "period": days("2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z")}), "time_in_future"),
            (json!({"donor": donor, "period": days("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z")}), "period_inverted"),
            (json!({"donor": donor, "period": good, "of": 1}), "unknown_field"),
        ]
        .into_iter()
        .enumerate()
        {
            let refused = desk.post(&desk.officer, &format!("bad-{at}"), &body).expect(422).json;
            let codes: Vec<&str> = refused["errors"].as_array().into_iter().flatten().filter_map(|error| error["code"].as_str()).collect();
            assert_eq!(codes, [code], "{body}");
        }
        let unborn = almoner::id::DonorId::from_stamp(5).to_string();
        desk.post(&desk.officer, "unborn", &asked("donor", &unborn)).expect(404);
        desk.server.post("/v1/statements", Some(&desk.officer), &[], &asked("donor", &donor)).expect(400);
        assert_eq!(desk.server.get("/v1/statements", Some(&desk.officer), &[]).json["data"], json!([]), "nothing was made");
    }
}
