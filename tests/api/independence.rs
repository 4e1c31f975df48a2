//! Independence: whatever a donor can obtain, in whatever form, tells of no person, no job, no project and no moment finer than a day.
//!
//! Every GET route that lets a donor in is asked, in every form and with every choice it offers; whatever is encoded in an answer is decoded.
//! A new row of the route table is asked too.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use almoner::actor::{Role, Roles};
use almoner::http::api::routes::routes;
use almoner::http::query::Form;
use almoner::http::route::Route;
use almoner::id::{ChargeId, Id, PersonId, Usage};
use almoner::ledger::{self, Entry, Kind};
use almoner::store::Database;
use almoner::tlog::{Checkpoint, Note};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::rights;
use crate::support::database::databases;
use crate::support::server::client;
use crate::town::{Side, Town, text};

/// What is not the donor's in these books, and so answered 404: a person's affiliations, the researcher's webhook, what no project has
/// made public.
const OTHERS: [&str; 4] = ["list_affiliations", "get_webhook", "list_webhook_deliveries", "public_disclosure"];

/// What is the same for every ledger and has examples in it.
const MANUALS: [&str; 3] = ["describe", "explain", "index"];

/// What identifiers are written in.
const BASE32: &str = "0123456789abcdefghjkmnpqrstvwxyz";

/// How long the background may take to tell events and to sign the log.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer as a donor has it: where from, and every text in it, decoded as often as it goes.
struct Obtained {
    from: String,
    manual: bool,
    layers: Vec<Vec<u8>>,
}

/// One GET as the donor; the status, and the headers and body in one.
fn get(town: &Town, side: &Side, path: &str, form: Option<&str>) -> (u16, Vec<u8>) {
    let mut request = client().get(format!("{}{path}", town.server.address)).header("authorization", format!("Bearer {}", side.as_donor));
    if let Some(form) = form {
        request = request.header("accept", form);
    }
    let mut answer = request.call().unwrap_or_else(|e| panic!("GET {path}: {e}"));
    // When it was answered is no secret.
    let told = answer.headers().iter().filter(|(name, _)| name.as_str() != "date");
    let mut all: Vec<u8> = told.flat_map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat()).collect();
    all.extend(answer.body_mut().read_to_vec().expect("a body"));
    (answer.status().as_u16(), all)
}

/// The first events of a stream that goes on for ever.
fn stream(town: &Town, side: &Side, path: &str) -> Vec<u8> {
    let host = town.server.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("a connection");
    let asked =
        format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\r\n", side.as_donor);
    stream.write_all(asked.as_bytes()).expect("asked");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a limit");
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut some) {
        all.extend(&some[..read]);
    }
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains("data: {"), "no events in {text}");
    text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n").into_bytes()
}

/// The queries that a route offers: none, each of its choices, the first of its numbers.
fn queries(route: &Route) -> Vec<String> {
    let choices = route.params().flat_map(|param| match param.form {
        Form::OneOf(words) => words.iter().map(|word| format!("?{}={word}", param.name)).collect(),
        Form::Number(low, _) => vec![format!("?{}={}", param.name, low.max(1))],
        Form::Id(_) | Form::Time | Form::Text => Vec::new(),
    });
    std::iter::once(String::new()).chain(choices).collect()
}

/// The addresses of a route, where the side's objects do not say it all.
fn paths(town: &Town, route: &Route, side: &Side, (first, size): (u64, u64)) -> Vec<String> {
    match route.operation {
        "log_tile" => ["0", "entries"].map(|level| format!("/v1/log/tile/{level}/000.p/{size}")).to_vec(),
        "donor_proof" => ["".to_owned(), format!("?since={first}")].map(|since| format!("/v1/donors/{}/proof{since}", side.donor)).to_vec(),
        "prove_inclusion" => vec![format!("/v1/log/proofs/inclusion?index=1&size={size}")],
        "prove_consistency" => vec![format!("/v1/log/proofs/consistency?from={first}&to={size}")],
        _ => queries(route).into_iter().map(|query| rights::path(town, route, side) + &query).collect(),
    }
}

/// Everything that the donor of a side can obtain.
fn obtained(town: &Town, side: &Side, sizes: (u64, u64)) -> Vec<Obtained> {
    let open = |roles: Roles| roles == Roles::default() || roles.has(Role::Donor);
    let mut all = Vec::new();
    for route in routes().into_iter().filter(|route| route.method == "get" && open(route.roles)) {
        let lists: &[&str] = if route.lists { &["text/csv", "application/x-ndjson"] } else { &[] };
        let forms = std::iter::once(None).chain(lists.iter().chain(route.forms).map(Some));
        let mut told = 0;
        for (path, form) in
            paths(town, &route, side, sizes).into_iter().flat_map(|path| forms.clone().map(move |form| (path.clone(), form)))
        {
            let (status, bytes) = match form {
                Some(&"text/event-stream") if path.contains('?') => continue,
                Some(&"text/event-stream") => (200, stream(town, side, &format!("{path}?after={}", first_event(town, side)))),
                form => get(town, side, &path, form.copied()),
            };
            told += u32::from(status == 200);
            all.push(Obtained { from: format!("{path} as {form:?}"), manual: MANUALS.contains(&route.operation), layers: layers(bytes) });
        }
        assert!(told > 0 || OTHERS.contains(&route.operation), "{} told nothing", route.operation);
    }
    all
}

fn first_event(town: &Town, side: &Side) -> String {
    text(&town.get(&side.as_donor, "/v1/events").expect(200).json["data"][0], "id")
}

/// A text, and whatever in it stands for other bytes.
fn layers(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let mut all = vec![bytes];
    let mut at = 0;
    while let Some(bytes) = all.get(at) {
        let coded = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let runs = bytes.split(|byte| !coded(byte)).filter(|run| run.len() >= 16);
        let decoded = runs.flat_map(|run| [STANDARD_NO_PAD.decode(run), URL_SAFE_NO_PAD.decode(run)]).flatten();
        let new: Vec<Vec<u8>> = decoded.filter(|bytes| !all.contains(bytes)).collect();
        all.extend(new);
        at += 1;
    }
    all
}

/// A moment in every way that it could be written.
fn written(micros: i64) -> Vec<Vec<u8>> {
    let millis = micros / 1000;
    let id: Id<Usage> = Id::from_stamp(micros);
    let texts = [micros.to_string(), millis.to_string(), format!("{micros:x}"), format!("{millis:x}"), format!("{micros:X}")];
    // Of an identifier the characters that are the moment to the microsecond; the last two bits of the last one are of the prefix's
    // check, so that identifiers of another kind may have any of four there.
    let moment = &id.to_string()[4..18];
    let last = BASE32.find(&moment[13..]).expect("base32") / 4 * 4;
    let moments = BASE32[last..last + 4].chars().map(|one| format!("{}{one}", &moment[..13]));
    let bytes = [micros.to_be_bytes()[1..].to_vec(), micros.to_le_bytes()[..7].to_vec()];
    texts.into_iter().chain(moments).map(String::into_bytes).chain(bytes).collect()
}

/// Whether the entry is of a kind whose identifiers donors are told: their own gifts and statements, and what stands for everybody.
fn told(entry: &Entry) -> bool {
    use Kind::{Delivery, Donation, Donor, Institution, Pledge, Policy, Rate, Resource, Statement, Unit};
    matches!(entry.kind, Donor | Donation | Pledge | Delivery | Institution | Resource | Rate | Policy | Statement | Unit)
}

/// What must not be found: names, identifiers, moments.
fn secrets(town: &Town, own: &Side, foreign: &Side, entries: &[Entry]) -> BTreeSet<Vec<u8>> {
    // Who has only read so far is no person of the books yet.
    let me = town.get(&own.as_donor, "/v1/me").expect(200).json["person"].as_str().unwrap_or_default().to_owned();
    let persons = town.get(&town.staff.admin, "/v1/persons?limit=200").expect(200).json;
    let persons: Vec<String> =
        persons["data"].as_array().expect("persons").iter().map(|one| text(one, "id")).filter(|id| *id != me).collect();
    assert!(persons.len() > 8, "{persons:?}");
    let charges = [own, foreign].map(|side| ChargeId::parse(&side.charge).expect("a charge"));
    assert!(charges.iter().all(|id| entries.iter().any(|entry| entry.recorded_at == id.created_at())));
    let words = [
        "prs_",
        "chg_",
        "grt_",
        "prj_",
        "usg_",
        "hld_",
        "txn_",
        "rfd_",
        "dec_",
        "amd_",
        "bnd_",
        "first-a",
        "first-b",
        "lost-a",
        "lost-b",
        "researcher-a",
        "researcher-b",
        "provider-a",
        "provider-b",
        "Example Investigator",
        "Example Helper",
        "Project a",
        "Project b",
        "project-a",
        "project-b",
        "officer2",
        "Example Donor b",
    ];
    let theirs = [&foreign.donor, &foreign.donation, &foreign.lot].map(String::as_str);
    let words = words.into_iter().chain(theirs).map(|word| word.as_bytes().to_vec());
    // Who they are themselves, and since when, is told to everybody.
    let own_person = PersonId::parse(&me).ok().map(PersonId::created_at);
    let hidden = |entry: &&Entry| !told(entry) && Some(entry.recorded_at) != own_person;
    let moments = entries.iter().filter(hidden).flat_map(|entry| written(entry.recorded_at.micros()));
    // Jobs end at the full hour here; in seconds that is enough to be known by.
    let ended = entries.iter().filter(|entry| entry.kind == Kind::Charge).flat_map(|entry| {
        let micros = entry.effective_at.micros();
        written(micros).into_iter().chain([(micros / 1_000_000).to_string().into_bytes()])
    });
    words.chain(persons.into_iter().map(String::into_bytes)).chain(moments).chain(ended).collect()
}

/// A time of day other than the day's begin, if there is one.
fn hour(text: &[u8]) -> Option<&[u8]> {
    let digits = |at: &[u8]| at.iter().all(u8::is_ascii_digit);
    let is_hour = |five: &&[u8]| digits(&five[..2]) && five[2] == b':' && digits(&five[3..]) && five[0] <= b'2' && five[3] <= b'5';
    text.windows(5).find(|five| is_hour(five) && *five != b"00:00")
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    // Most places are ruled out by their first byte.
    text.windows(word.len()).any(|some| some[0] == word[0] && some == word)
}

/// The size of the newest checkpoint, once there is one.
fn signed(town: &Town) -> Option<u64> {
    let answer = town.server.get("/v1/log/checkpoint", None, &[]);
    let note = (answer.status == 200).then(|| Note::parse(&answer.text).expect("a note"));
    note.map(|note| Checkpoint::parse(note.text()).expect("a checkpoint").size)
}

/// Waits until the background has come so far.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Some(found) => return found,
            None if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(100)),
            None => panic!("nothing came of it"),
        }
    }
}

/// Donors are told of a day once it is over: what happened today happened two days ago as well.
fn put_back(town: &Town) {
    const COPY: &str = "INSERT INTO events (id, kind, subject, mark, seq, donor, project, provider, owner, at, body)
        SELECT id - 172800000000, kind, subject, mark || ' again', seq, donor, project, provider, owner, at - 172800000000, body FROM events";
    let mut conn = Database::parse(&town.database.url).expect("a URL").connect().expect("books");
    conn.batch(COPY).expect("events");
}

#[test]
fn donors_are_told_of_no_person_no_job_and_no_hour() {
    for database in databases() {
        let (town, own, foreign) = Town::settled_with(database, &["--events-every", "1"]);
        let entries = || {
            let mut conn = Database::parse(&town.database.url).expect("a URL").connect().expect("books");
            let head = ledger::store::head(&mut conn).expect("a head");
            ledger::store::entries(&mut conn, 1, head).expect("entries")
        };
        let first = until(|| signed(&town));
        // Something more, so that there are two checkpoints.
        let lot = town.lot(&own.donation, "7", None);
        let charged = until(|| signed(&town).filter(|size| *size > first.max(entries().len() as u64)));
        until(|| (town.get(&town.staff.auditor, "/v1/events?limit=200").json["data"].as_array()?.len() > 8).then_some(()));
        put_back(&town);
        assert!(town.get(&own.as_donor, "/v1/events").json["data"].as_array().expect("events").len() > 2);
        let secrets = secrets(&town, &own, &foreign, &entries());
        let all = obtained(&town, &own, (first, charged));
        let proof = all.iter().find(|one| one.from.contains("/proof")).expect("a proof");
        assert!(proof.layers.iter().any(|layer| contains(layer, b"\"class\":\"charge\"")), "what is encoded is not decoded");
        for Obtained { from, layers, .. } in all.iter().filter(|one| !one.manual) {
            for layer in layers {
                let found: Vec<String> =
                    secrets.iter().filter(|word| contains(layer, word)).map(|word| String::from_utf8_lossy(word).into()).collect();
                let told = String::from_utf8_lossy(layer);
                assert!(found.is_empty(), "{from} tells {found:?}: {told}");
                let hour = hour(layer).map(String::from_utf8_lossy).filter(|_| std::str::from_utf8(layer).is_ok());
                assert!(hour.is_none(), "{from} tells the hour {hour:?}: {told}");
            }
        }
        assert!(all.len() > 70, "{} answers", all.len());
        // The same is told exactly to who may know.
        let exact = town.get(&town.staff.officer, &format!("/v1/lots/{lot}")).expect(200).json;
        assert!(!text(&exact, "created_at").contains("T00:00:00.000000Z"), "{exact}");
    }
}
