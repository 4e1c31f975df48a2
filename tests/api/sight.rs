//! Whoever reads everything is seen reading. What donors are told is in `independence`.

use almoner::actor::Role;
use almoner::http::api::routes::routes;
use serde_json::{Value, json};

use crate::rights;
use crate::support::database::databases;
use crate::town::{Town, actor, text};

#[test]
fn who_reads_everything_is_seen_reading() {
    for database in databases() {
        let (town, own, _) = Town::settled(database);
        let auditor = &town.staff.auditor;
        rights::await_receipt(&town, &own);
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
