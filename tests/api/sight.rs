//! Who sees what: donors see nobody and no hour, and whoever reads everything is seen reading.

use almoner::actor::{Role, Roles};
use almoner::http::api::routes::routes;
use serde_json::{Value, json};

use crate::rights;
use crate::support::database::databases;
use crate::support::server::Answer;
use crate::town::{Side, Town, actor, text};

/// What a donor is never told: persons, jobs, projects, and identifiers that carry the time of a job.
const HIDDEN: [&str; 14] = [
    "prs_",
    "chg_",
    "grt_",
    "prj_",
    "usg_",
    "hld_",
    "txn_",
    "rfd_",
    "first-a",
    "lost-a",
    "researcher-a",
    "Example Investigator",
    "Example Helper",
    "officer\"",
];

/// What is not the donor's in these books: a person's affiliations, the researcher's webhook, and what the project has not made public.
const OTHERS: [&str; 4] = ["list_affiliations", "get_webhook", "list_webhook_deliveries", "public_disclosure"];

#[test]
fn donors_are_told_of_no_person_no_job_and_no_hour() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let mut walked = 0;
        let readable = |roles: Roles| roles == Roles::default() || roles.has(Role::Donor);
        for route in routes().into_iter().filter(|route| route.method == "get" && readable(route.roles) && route.pattern.starts_with("/v1"))
        {
            let path = rights::path(&town, &route, &own);
            let forms = if route.lists { &["application/json", "text/csv", "application/x-ndjson"][..] } else { &["application/json"] };
            for form in forms {
                let answer = town.server.get(&path, Some(&own.as_donor), &[("accept", form)]);
                assert!(answer.status == 200 || OTHERS.contains(&route.operation), "{path}: {}", answer.text);
                tells_nothing(&path, &answer, &own);
                walked += 1;
            }
        }
        assert!(walked > 25, "{walked} answers");
        // The same is told exactly to who may know.
        let lot = town.get(&town.staff.officer, &format!("/v1/lots/{}", own.lot)).expect(200).json;
        assert!(!text(&lot, "created_at").contains("T00:00:00.000000Z"), "{lot}");
    }
}

fn tells_nothing(path: &str, answer: &Answer, own: &Side) {
    // Donors are told their own names.
    let told = answer.text.replace(&own.person, "");
    for hidden in HIDDEN {
        assert!(!told.contains(hidden), "{path} tells {hidden}: {told}");
    }
    for (at, _) in told.match_indices('T') {
        let time = told.get(at + 1..at + 17).unwrap_or_default();
        let is_time = time.len() == 16 && time.as_bytes()[2] == b':' && time.as_bytes()[5] == b':' && time.ends_with('Z');
        assert!(!is_time || time == "00:00:00.000000Z", "{path} tells the hour {time}: {told}");
    }
}

#[test]
fn who_reads_everything_is_seen_reading() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let auditor = &town.staff.auditor;
        let readings =
            || town.get(&town.staff.admin, "/v1/readings?limit=200").expect(200).json["data"].as_array().cloned().unwrap_or_default();
        assert!(readings().is_empty(), "nobody audits yet");
        let sensitive: Vec<_> = routes().into_iter().filter(|route| route.recorded).collect();
        assert!(sensitive.len() > 8);
        for route in &sensitive {
            let path = rights::path(&town, route, &own);
            let asked = if route.lists { format!("{path}?limit=1") } else { path.clone() };
            let before = readings().len();
            town.get(auditor, &asked).expect(200);
            let found = readings();
            let last = found.last().expect("a reading");
            assert_eq!((found.len(), &last["operation"]), (before + 1, &json!(route.operation)), "{asked}");
            let id = route.path_params().next().map(|_| path.split('/').nth(3).expect("an identifier"));
            assert_eq!(last["read"], id.map_or(Value::Null, |id| json!(id)), "{asked}");
        }
        let before = readings();
        let me = text(&town.get(auditor, "/v1/me").expect(200).json, "person");
        assert!(before.iter().all(|reading| reading["person"] == json!(me)));
        assert!(!before.iter().any(|reading| reading.to_string().contains("limit")), "not what was searched for");
        town.get(auditor, "/v1/persons/Example%20Person").expect(400);
        let named = readings().pop().expect("a reading");
        assert_eq!((&named["operation"], &named["read"]), (&json!("get_person"), &Value::Null), "not what may be a name");
        let before = readings();
        // Neither what is not sensitive, nor what is refused, nor who is admitted by another role too.
        town.get(auditor, "/v1/grants").expect(200);
        town.get(auditor, "/v1/usage?nope=1").expect(400);
        town.get(&town.staff.officer, "/v1/usage").expect(200);
        town.get(&town.token(&actor("both", &[Role::Auditor, Role::Officer])), "/v1/usage").expect(200);
        town.get(&own.as_donor, "/v1/usage").expect(403);
        assert_eq!(readings(), before);
        assert_eq!(town.get(auditor, &format!("/v1/readings?person={me}")).expect(200).json["data"], json!(before[..before.len().min(50)]));
    }
}
