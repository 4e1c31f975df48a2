//! Who sees what: every role against every kind of data, in one table.
//!
//! The table says what the routes' roles and the scope must come to; tests hold all three together, and try them against the running
//! server. A kind marked as sensitive tells of persons or jobs: reading it by the auditor's role alone is itself recorded.

use std::sync::LazyLock;

use crate::actor::{Role, Roles};

use Sight::{All, Nothing, Open, Own};

/// How much of a kind of data a role sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// Nothing: 403.
    Nothing,
    /// What is theirs; another's is as if it were not there.
    Own,
    /// All of it.
    All,
    /// All of it, as everybody does who is signed in.
    Open,
}

/// One kind of data.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub data: &'static str,
    /// What each role sees, in the order of [`Role::ALL`]: donor, officer, researcher, provider, auditor, admin.
    by: [Sight; 6],
    /// Whether it tells of persons or jobs.
    pub sensitive: bool,
    /// The operations that show it.
    pub operations: &'static [&'static str],
}

/// The table.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    //                      donor    officer  research. provider auditor  admin
    plain("oneself",        [Own,     Own,     Own,     Own,     Own,     Own],     &["me"]),
    plain("institutions",   [Open,    Open,    Open,    Open,    Open,    Open],    &["list_institutions", "get_institution"]),
    plain("resources",      [Open,    Open,    Open,    Open,    Open,    Open],    &["list_resources", "get_resource", "list_rates", "get_rate"]),
    plain("policies",       [Open,    Open,    Open,    Open,    Open,    Open],    &["list_policies", "get_policy"]),
    plain("donors",         [Own,     All,     Nothing, Nothing, All,     All],     &["list_donors", "get_donor", "donor_summary"]),
    plain("donations",      [Own,     All,     Nothing, Nothing, All,     All],     &["list_donations", "get_donation"]),
    plain("lots",           [Own,     All,     Nothing, Nothing, All,     Nothing], &["list_deliveries", "list_lots", "get_lot", "lot_forecast", "donor_proof"]),
    plain("lot entries",    [Own,     All,     Nothing, Nothing, All,     Nothing], &["list_lot_entries"]),
    tells("persons",        [Nothing, Nothing, Nothing, Nothing, All,     All],     &["list_persons", "get_person"]),
    tells("affiliations",   [Own,     Own,     Own,     Own,     All,     All],     &["list_affiliations"]),
    plain("role bindings",  [Nothing, Nothing, Nothing, Nothing, All,     All],     &["list_role_bindings", "get_role_binding"]),
    plain("erasures",       [Nothing, Nothing, Nothing, Nothing, All,     All],     &["list_erasures", "get_erasure"]),
    plain("projects",       [Nothing, All,     Own,     Nothing, All,     Nothing], &["list_projects", "get_project", "list_account_mappings"]),
    tells("members",        [Nothing, All,     Own,     Nothing, All,     Nothing], &["list_members"]),
    plain("grants",         [Nothing, All,     Own,     Nothing, All,     Nothing], &["list_grants", "get_grant", "list_grant_entries"]),
    plain("decisions",      [Nothing, All,     Own,     Nothing, All,     Nothing], &["list_decisions", "get_decision", "list_grant_steps"]),
    plain("amendments",     [Nothing, All,     Own,     Nothing, All,     Nothing], &["list_amendments", "get_amendment"]),
    tells("conflicts",      [Nothing, All,     Nothing, Nothing, All,     Nothing], &["list_conflicts"]),
    plain("under-used",     [Nothing, All,     Nothing, Nothing, All,     Nothing], &["under_used_grants"]),
    plain("balances",       [Nothing, All,     Own,     Own,     All,     Nothing], &["grant_balance"]),
    tells("holds",          [Nothing, All,     Own,     Own,     All,     Nothing], &["list_holds", "get_hold"]),
    tells("usage",          [Nothing, All,     Own,     Own,     All,     Nothing], &["list_usage", "get_usage"]),
    plain("usage totals",   [Nothing, All,     Own,     Own,     All,     Nothing], &["usage_totals"]),
    tells("quarantine",     [Nothing, All,     Nothing, Own,     All,     Nothing], &["list_quarantine"]),
    tells("charges",        [Nothing, All,     Own,     Own,     All,     Nothing], &["list_charges", "get_charge", "charge_receipt"]),
    plain("refunds",        [Nothing, All,     Own,     Own,     All,     Nothing], &["list_refunds", "get_refund"]),
    plain("accounts",       [Nothing, All,     Nothing, Nothing, All,     Nothing], &["list_accounts", "get_account", "list_account_entries"]),
    plain("transactions",   [Nothing, All,     Nothing, Nothing, All,     Nothing], &["list_transactions", "get_transaction"]),
    plain("forecasts",      [Nothing, All,     Own,     Nothing, All,     Nothing], &["grant_forecast"]),
    plain("disclosures",    [Nothing, All,     Own,     Nothing, All,     Nothing], &["project_disclosure"]),
    plain("statement list", [Own,     All,     Own,     Own,     All,     Nothing], &["list_statements"]),
    tells("statements",     [Own,     All,     Own,     Own,     All,     Nothing], &["get_statement"]),
    plain("events",         [Own,     All,     Own,     Own,     All,     All],     &["list_events"]),
    plain("webhooks",       [Own,     Own,     Own,     Own,     All,     All],     &["list_webhooks", "get_webhook", "list_webhook_deliveries"]),
    plain("audit",          [Nothing, All,     Nothing, Nothing, All,     Nothing], &["trial_balance", "audit"]),
    plain("readings",       [Nothing, Nothing, Nothing, Nothing, All,     All],     &["list_readings"]),
];

const fn plain(data: &'static str, by: [Sight; 6], operations: &'static [&'static str]) -> Row {
    Row { data, by, sensitive: false, operations }
}

const fn tells(data: &'static str, by: [Sight; 6], operations: &'static [&'static str]) -> Row {
    Row { data, by, sensitive: true, operations }
}

impl Row {
    /// What a role sees.
    pub fn sight(&self, role: Role) -> Sight {
        Role::ALL.into_iter().zip(self.by).find(|(one, _)| *one == role).map_or(Nothing, |(_, sight)| sight)
    }

    /// The roles that see so much.
    fn seeing(&self, wanted: impl Fn(Sight) -> bool) -> Roles {
        Role::ALL.into_iter().zip(self.by).filter(|(_, sight)| wanted(*sight)).map(|(role, _)| role).collect()
    }

    /// The roles that see anything of it: those that its routes admit.
    pub fn readers(&self) -> Roles {
        self.seeing(|sight| sight != Nothing)
    }

    /// The roles that see all of it.
    pub fn overseers(&self) -> Roles {
        self.seeing(|sight| sight == All)
    }
}

/// The kind of data that an operation shows.
pub fn shown_by(operation: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.operations.contains(&operation))
}

/// The roles that see all of whatever else than their own is shown to them.
pub fn overseers() -> Roles {
    static ALL: LazyLock<Roles> = LazyLock::new(|| TABLE.iter().fold(Roles::default(), |roles, row| Roles(roles.0 | row.overseers().0)));
    *ALL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::routes::routes;

    #[test]
    fn the_routes_admit_whom_the_table_names() {
        let shown = routes().into_iter().filter(|route| route.method == "get" && route.roles != Roles::default());
        let mut operations = Vec::new();
        for route in shown {
            let row = shown_by(route.operation).unwrap_or_else(|| panic!("{}: of no kind of data", route.operation));
            assert_eq!(route.roles, row.readers(), "{}: shows {}", route.operation, row.data);
            assert_eq!(route.recorded, row.sensitive && route.roles.has(Role::Auditor), "{}: recorded or not", route.operation);
            operations.push(route.operation);
        }
        let listed: Vec<&str> = TABLE.iter().flat_map(|row| row.operations).copied().collect();
        let missing: Vec<&&str> = listed.iter().filter(|operation| !operations.contains(*operation)).collect();
        assert!(missing.is_empty() && listed.len() == operations.len(), "no such routes, or twice in the table: {missing:?}");
    }

    #[test]
    fn who_sees_all_of_one_kind_sees_no_part_of_another() {
        // The scope asks for the role alone, so no role may see all of one kind and only its own of another; oneself, what a person
        // declared and one's webhooks are one's own for everybody, and have doors of their own.
        for row in TABLE.iter().filter(|row| !["oneself", "affiliations", "webhooks"].contains(&row.data)) {
            for role in Role::ALL.into_iter().filter(|role| overseers().has(*role)) {
                assert_ne!(row.sight(role), Own, "{} for {}", row.data, role.word());
            }
        }
        assert_eq!(overseers().to_string(), "officer auditor admin");
    }

    #[test]
    fn donors_see_nobody() {
        // A project's statement tells of jobs; a donor's own tells of none, as another test reads.
        for row in TABLE.iter().filter(|row| row.sensitive && !["affiliations", "statements"].contains(&row.data)) {
            assert_eq!(row.sight(Role::Donor), Nothing, "{}", row.data);
        }
    }
}
