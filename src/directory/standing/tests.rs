//! The pure rules: what is left of a token under what is bound.

use super::*;
use crate::id::{BindingId, DonorId, InstitutionId};

const LOCAL: &str = "almoner-local:1";
const ISSUER: &str = "https://idp.example";

fn rule(require_bindings: bool) -> Rule {
    Rule { local: Some(LOCAL.into()), require_bindings }
}

fn token(issuer: &str, roles: &[Role]) -> Actor {
    Actor { issuer: issuer.into(), roles: roles.iter().copied().collect(), ..Actor::operator("somebody") }
}

fn standing(bound: &[(Right, State)], issuers: &[&str]) -> Standing {
    let person = PersonId::from_stamp(1);
    let binding = |(right, state): &(Right, State)| Binding {
        id: BindingId::from_stamp(2),
        person,
        right: *right,
        state: *state,
        proposed_by: person,
        confirmed_by: None,
        revoked_by: None,
    };
    let bindings: Vec<Binding> = bound.iter().map(binding).collect();
    Standing::new(&bindings, issuers.iter().map(|issuer| (*issuer).to_owned()).collect(), None)
}

/// The roles that are left, or `None` where the token is believed as it is.
fn left(rule: &Rule, standing: Option<&Standing>, token: &Actor) -> Option<String> {
    judge(rule, standing, false, token, Time::from_micros(0)).expect("good").map(|actor| actor.roles.to_string())
}

#[test]
fn the_operators_hand_is_believed_until_the_ledger_says_more() {
    let (soft, strict) = (rule(false), rule(true));
    let officer = token(LOCAL, &[Role::Officer]);
    let gone = standing(&[(Right::Officer(None), State::Revoked)], &[LOCAL]);
    let waiting = standing(&[(Right::Officer(None), State::Proposed)], &[LOCAL]);
    let linked = standing(&[], &[LOCAL, ISSUER]);
    assert_eq!(left(&soft, None, &officer), None);
    assert_eq!(left(&soft, Some(&standing(&[], &[LOCAL])), &officer), None);
    assert_eq!(left(&soft, Some(&waiting), &officer), None, "a proposal binds nothing");
    assert_eq!(left(&soft, Some(&gone), &officer).as_deref(), Some(""));
    assert_eq!(left(&soft, Some(&linked), &officer).as_deref(), Some(""), "known by another issuer too");
    assert_eq!(left(&strict, None, &officer).as_deref(), Some(""));
    assert_eq!(left(&soft, None, &token(ISSUER, &[Role::Officer])).as_deref(), Some(""));
    assert_eq!(left(&Rule::default(), None, &officer).as_deref(), Some(""), "without a local issuer nobody is believed");
    let bound = standing(&[(Right::Officer(None), State::Active)], &[ISSUER]);
    assert_eq!(left(&strict, Some(&bound), &token(ISSUER, &[Role::Officer, Role::Admin])).as_deref(), Some("officer"));
    assert_eq!(left(&strict, Some(&bound), &token(ISSUER, &[Role::Auditor])).as_deref(), Some(""), "the token is the ceiling");
}

#[test]
fn what_a_token_names_and_what_is_bound_must_agree() {
    let donor = DonorId::from_stamp;
    let right = |id| (Right::Donor(donor(id)), State::Active);
    let asked = |named: Option<i64>, bound: &[(Right, State)]| {
        let token = Actor { donor: named.map(donor), ..token(ISSUER, &[Role::Donor]) };
        let left = standing(bound, &[ISSUER]).narrow(&token);
        (left.roles.has(Role::Donor), left.donor.map(|d| d.stamp()))
    };
    assert_eq!(asked(None, &[right(1)]), (true, Some(1)), "the binding brings its donor");
    assert_eq!(asked(Some(1), &[right(2), right(1)]), (true, Some(1)));
    assert_eq!(asked(Some(2), &[right(1)]), (false, None));
    assert_eq!(asked(None, &[right(1), right(2)]), (false, None), "which of both is not said");
    assert_eq!(asked(Some(1), &[(Right::Provider(InstitutionId::from_stamp(1)), State::Active)]), (false, None));
}

#[test]
fn a_researchers_projects_are_those_bound_and_named() {
    let project = ProjectId::from_stamp;
    let right = |id| (Right::Researcher(Some(project(id))), State::Active);
    let any = (Right::Researcher(None), State::Active);
    let asked = |named: &[i64], bound: &[(Right, State)]| {
        let token = Actor { projects: named.iter().map(|id| project(*id)).collect(), ..token(ISSUER, &[Role::Researcher]) };
        let left = standing(bound, &[ISSUER]).narrow(&token);
        (left.roles.has(Role::Researcher), left.projects.iter().map(|p| p.stamp()).collect::<Vec<_>>())
    };
    assert_eq!(asked(&[], &[right(2), right(1)]), (true, vec![1, 2]));
    assert_eq!(asked(&[1, 3], &[right(2), right(1)]), (true, vec![1]));
    assert_eq!(asked(&[3], &[right(1)]), (false, vec![]));
    assert_eq!(asked(&[3], &[any]), (true, vec![]), "memberships in the ledger say which");
}

#[test]
fn judging_twice_takes_nothing_more() {
    let rights = [
        (Right::Donor(DonorId::from_stamp(1)), State::Active),
        (Right::Researcher(Some(ProjectId::from_stamp(2))), State::Active),
        (Right::Auditor, State::Active),
    ];
    let standing = standing(&rights, &[ISSUER]);
    let once = standing.narrow(&token(ISSUER, &Role::ALL));
    assert_eq!(standing.narrow(&once), once);
    let warrant = |admitted| Warrant { actor: once.clone(), token: "t".into(), issued_at: Time::from_micros(0), admitted };
    let all = Roles(63);
    assert!(keeps(&once, &warrant(all)));
    let less = Actor { projects: Vec::new(), ..once.clone() };
    assert!(!keeps(&less, &warrant(all)) && keeps(&less, &warrant(Roles(Role::Auditor as u8))), "only what lets in counts");
    assert!(!keeps(&Actor { roles: Roles::default(), ..once.clone() }, &warrant(all)));
}

#[test]
fn a_revoked_token_is_refused_whatever_is_bound() {
    let bound = standing(&[(Right::Admin, State::Active)], &[LOCAL]);
    let admin = token(LOCAL, &[Role::Admin]);
    let at = |issued_at, not_before, revoked| {
        let standing = Standing { not_before, ..bound.clone() };
        judge(&rule(false), Some(&standing), revoked, &admin, Time::from_micros(issued_at)).map_err(|refusal| refusal.code)
    };
    assert_eq!(at(5, None, true), Err(Code::TokenRevoked));
    assert_eq!(at(5, Some(Time::from_micros(6)), false), Err(Code::TokenRevoked));
    assert!(at(6, Some(Time::from_micros(6)), false).is_ok());
}
