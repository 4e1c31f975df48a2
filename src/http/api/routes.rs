//! The whole API on one screen: method, path, who may (D donor, O officer, R researcher, P provider, U auditor, M admin, ANY of them,
//! A everybody), handler, what it takes, what it answers.

use super::{
    amendments, audit, batch, bindings, books, decisions, disclosure, donations, events, forecast, grants, holds, meta, persons, policies,
    projects, quarantine, resources, usage, webhooks,
};
use crate::http::{openapi, problem};
use crate::routes;

routes! {
    get  "/"                                        [A]         meta::index                                                  => 200;
    get  "/healthz"                                 [A]         meta::healthz                                                => 200 (meta::Health);
    get  "/readyz"                                  [A]         meta::readyz                                                 => 200 (meta::Health);
    get  "/metrics"                                 [A]         meta::metrics                                                => 200;
    get  "/version"                                 [A]         meta::version                                                => 200 (meta::Version);
    get  "/problems/{slug}"                         [A]         problem::explain                                             => 200;
    get  "/openapi.json"                            [A]         openapi::describe                                            => 200;
    get  "/v1/me"                                   [ANY]       meta::me                                                     => 200 (meta::Me);
    post "/v1/tokens/revocation"                    [ANY]       persons::revoke_token (persons::TokenRevocationBody)         => 200 (persons::TokenRevocationView) .key();
    get  "/v1/persons"                              [U M]       persons::list_persons                                        => 200 (persons::PersonView) .list().query(persons::PERSONS).recorded();
    post "/v1/persons"                              [M]         persons::create_person (persons::PersonBody)                 => 201 (persons::PersonView) .key();
    get  "/v1/persons/{id:prs}"                     [U M]       persons::get_person                                          => 200 (persons::PersonView) .recorded();
    post "/v1/persons/{id:prs}/identities"          [M]         persons::link_identity (persons::IdentityBody)               => 201 (persons::PersonView) .key();
    post "/v1/persons/{id:prs}/revision"            [M]         persons::revise_person (persons::RevisionBody)               => 201 (persons::PersonView) .key().version();
    post "/v1/persons/{id:prs}/revocation"          [M]         persons::revoke_person (Empty)                               => 201 (persons::PersonView) .key();
    get  "/v1/persons/{id:prs}/affiliations"        [ANY]       persons::list_affiliations                                   => 200 (persons::AffiliationView) .list().recorded();
    post "/v1/persons/{id:prs}/affiliations"        [ANY]       persons::declare_affiliation (persons::AffiliationBody)      => 201 (persons::AffiliationView) .key();
    get  "/v1/role-bindings"                        [U M]       bindings::list_role_bindings                                 => 200 (bindings::BindingView) .list().query(bindings::BINDINGS);
    post "/v1/role-bindings"                        [M]         bindings::create_role_binding (bindings::BindingBody)        => 201 (bindings::BindingView) .key();
    get  "/v1/role-bindings/{id:bnd}"               [U M]       bindings::get_role_binding                                   => 200 (bindings::BindingView);
    post "/v1/role-bindings/{id:bnd}/confirmation"  [M]         bindings::confirm_role_binding (Empty)                       => 201 (bindings::BindingView) .key();
    post "/v1/role-bindings/{id:bnd}/revocation"    [M]         bindings::revoke_role_binding (Empty)                        => 201 (bindings::BindingView) .key();
    get  "/v1/readings"                             [U M]       bindings::list_readings                                      => 200 (bindings::ReadingView) .list().query(bindings::READINGS);
    get  "/v1/units"                                [A]         resources::list_units                                        => 200 (resources::Units);
    post "/v1/units"                                [M]         resources::create_unit (resources::UnitBody)                 => 201 (resources::UnitView) .key();
    get  "/v1/donors"                               [D O U M]   donations::list_donors                                       => 200 (donations::DonorView) .list().query(donations::DONORS);
    post "/v1/donors"                               [O M]       donations::create_donor (donations::DonorBody)               => 201 (donations::DonorView) .key();
    get  "/v1/donors/{id:dnr}"                      [D O U M]   donations::get_donor                                         => 200 (donations::DonorView);
    get  "/v1/donors/{id:dnr}/summary"              [D O U M]   donations::donor_summary                                     => 200 (donations::DonorSummary);
    get  "/v1/donations"                            [D O U M]   donations::list_donations                                    => 200 (donations::DonationView) .list().query(donations::DONATIONS);
    post "/v1/donations"                            [O]         donations::create_donation (donations::DonationBody)         => 201 (donations::DonationView) .key();
    get  "/v1/donations/{id:dnt}"                   [D O U M]   donations::get_donation                                      => 200 (donations::DonationView);
    post "/v1/donations/{id:dnt}/acceptance"        [O]         donations::accept_donation (Empty)                           => 201 (donations::DonationView) .key();
    post "/v1/donations/{id:dnt}/cancellation"      [O]         donations::cancel_donation (Empty)                           => 201 (donations::DonationView) .key();
    get  "/v1/donations/{id:dnt}/deliveries"        [D O U]     donations::list_deliveries                                   => 200 (donations::LotView) .list();
    post "/v1/donations/{id:dnt}/deliveries"        [O]         donations::create_delivery (donations::DeliveryBody)         => 201 (donations::LotView) .key();
    get  "/v1/lots"                                 [D O U]     donations::list_lots                                         => 200 (donations::LotView) .list().query(donations::LOTS);
    get  "/v1/lots/{id:lot}"                        [D O U]     donations::get_lot                                           => 200 (donations::LotView);
    get  "/v1/lots/{id:lot}/entries"                [D O U]     books::list_lot_entries                                      => 200 (books::EntryView) .list();
    get  "/v1/lots/{id:lot}/forecast"               [D O U]     forecast::lot_forecast                                       => 200 (forecast::LotForecastView);
    post "/v1/lots/{id:lot}/return"                 [O]         donations::return_lot (donations::ReturnBody)                => 201 (donations::LotView) .key();
    get  "/v1/institutions"                         [ANY]       projects::list_institutions                                  => 200 (projects::InstitutionView) .list().query(projects::INSTITUTIONS);
    post "/v1/institutions"                         [O M]       projects::create_institution (projects::InstitutionBody)     => 201 (projects::InstitutionView) .key();
    get  "/v1/institutions/{id:ins}"                [ANY]       projects::get_institution                                    => 200 (projects::InstitutionView);
    get  "/v1/projects"                             [O R U]     projects::list_projects                                      => 200 (projects::ProjectView) .list().query(projects::PROJECTS);
    post "/v1/projects"                             [O R]       projects::create_project (projects::ProjectBody)             => 201 (projects::ProjectView) .key();
    get  "/v1/projects/{id:prj}"                    [O R U]     projects::get_project                                        => 200 (projects::ProjectView);
    get  "/v1/projects/{id:prj}/members"            [O R U]     projects::list_members                                       => 200 (projects::MemberView) .list().recorded();
    post "/v1/projects/{id:prj}/members"            [O R]       projects::add_member (projects::MemberBody)                  => 201 (projects::MemberView) .key();
    get  "/v1/projects/{id:prj}/account-mappings"   [O R U]     projects::list_account_mappings                              => 200 (projects::MappingView) .list();
    post "/v1/projects/{id:prj}/account-mappings"   [O R]       projects::create_account_mapping (projects::MappingBody)     => 201 (projects::MappingView) .key();
    get  "/v1/projects/{id:prj}/disclosure"         [O R U]     disclosure::project_disclosure                               => 200 (disclosure::DisclosureView) .query(disclosure::DISCLOSURE).forms(disclosure::FORMS);
    post "/v1/projects/{id:prj}/disclosure/publication" [R]         disclosure::publish_disclosure (disclosure::PublicationBody) => 201 (disclosure::Publication) .key();
    get  "/v1/public/projects/{id:prj}/disclosure"  [A]         disclosure::public_disclosure                                => 200 (disclosure::DisclosureView) .query(disclosure::DISCLOSURE).forms(disclosure::FORMS);
    get  "/v1/resources"                            [ANY]       resources::list_resources                                    => 200 (resources::ResourceView) .list().query(resources::RESOURCES);
    post "/v1/resources"                            [P M]       resources::create_resource (resources::ResourceBody)         => 201 (resources::ResourceView) .key();
    get  "/v1/resources/{id:res}"                   [ANY]       resources::get_resource                                      => 200 (resources::ResourceView);
    get  "/v1/resources/{id:res}/rates"             [ANY]       resources::list_rates                                        => 200 (resources::RateView) .list();
    post "/v1/resources/{id:res}/rates"             [P M]       resources::create_rate (resources::RateBody)                 => 201 (resources::RateView) .key();
    get  "/v1/rates/{id:rate}"                      [ANY]       resources::get_rate                                          => 200 (resources::RateView);
    post "/v1/rates/{id:rate}/confirmation"         [O]         resources::confirm_rate (Empty)                              => 201 (resources::RateView) .key();
    get  "/v1/policies"                             [ANY]       policies::list_policies                                      => 200 (policies::PolicyView) .list();
    post "/v1/policies"                             [O M]       policies::create_policy (policies::PolicyBody)               => 201 (policies::PolicyView) .key();
    get  "/v1/policies/{id:pol}"                    [ANY]       policies::get_policy                                         => 200 (policies::PolicyView);
    post "/v1/policies/{id:pol}/confirmation"       [O M]       policies::confirm_policy (Empty)                             => 201 (policies::PolicyView) .key();
    get  "/v1/conflicts"                            [O U]       policies::list_conflicts                                     => 200 (policies::ConflictView) .list().recorded();
    post "/v1/conflicts"                            [O]         policies::declare_conflict (policies::ConflictBody)          => 201 (policies::ConflictView) .key();
    get  "/v1/under-used-grants"                    [O U]       policies::under_used_grants                                  => 200 (policies::UnderUsedGrants) .query(policies::UNDER_USED);
    get  "/v1/grants"                               [O R U]     grants::list_grants                                          => 200 (grants::GrantView) .list().query(grants::GRANTS);
    post "/v1/grants"                               [O R]       grants::create_grant (grants::GrantBody)                     => 201 (grants::GrantView) .key();
    get  "/v1/grants/{id:grt}"                      [O R U]     grants::get_grant                                            => 200 (grants::GrantView);
    post "/v1/grants/{id:grt}/revision"             [R]         grants::revise_grant (grants::RevisionBody)                  => 201 (grants::GrantView) .key().version();
    post "/v1/grants/{id:grt}/submit"               [R]         grants::submit_grant (grants::ReasonBody)                    => 201 (grants::GrantView) .key();
    post "/v1/grants/{id:grt}/review"               [O]         grants::review_grant (grants::ReasonBody)                    => 201 (grants::GrantView) .key();
    post "/v1/grants/{id:grt}/withdraw"             [R]         grants::withdraw_grant (grants::ReasonBody)                  => 201 (grants::GrantView) .key();
    post "/v1/grants/{id:grt}/suspend"              [O]         grants::suspend_grant (grants::ReasonBody)                   => 201 (grants::GrantView) .key();
    post "/v1/grants/{id:grt}/resume"               [O]         grants::resume_grant (grants::ReasonBody)                    => 201 (grants::GrantView) .key();
    post "/v1/grants/{id:grt}/close"                [R]         grants::close_grant (grants::ReasonBody)                     => 201 (grants::GrantView) .key();
    post "/v1/grants/{id:grt}/recusal"              [O]         grants::recuse_from_grant (grants::ReasonBody)               => 201 (grants::GrantView) .key();
    get  "/v1/grants/{id:grt}/steps"                [O R U]     grants::list_grant_steps                                     => 200 (grants::StepView) .list();
    get  "/v1/grants/{id:grt}/decisions"            [O R U]     decisions::list_decisions                                    => 200 (decisions::DecisionView) .list();
    post "/v1/grants/{id:grt}/decisions"            [O]         decisions::decide_grant (decisions::DecisionBody)            => 201 (decisions::DecisionTaken) .key().version().otherwise(decisions::TRIED).query(decisions::DECIDE);
    get  "/v1/decisions/{id:dec}"                   [O R U]     decisions::get_decision                                      => 200 (decisions::DecisionView);
    get  "/v1/grants/{id:grt}/amendments"           [O R U]     amendments::list_amendments                                  => 200 (amendments::AmendmentView) .list().query(amendments::AMENDMENTS);
    post "/v1/grants/{id:grt}/amendments"           [O R]       amendments::create_amendment (amendments::AmendmentBody)     => 201 (amendments::AmendmentView) .key();
    get  "/v1/amendments/{id:amd}"                  [O R U]     amendments::get_amendment                                    => 200 (amendments::AmendmentView);
    post "/v1/amendments/{id:amd}/withdraw"         [O R]       amendments::withdraw_amendment (grants::ReasonBody)          => 201 (amendments::AmendmentView) .key();
    post "/v1/amendments/{id:amd}/decisions"        [O]         decisions::decide_amendment (decisions::DecisionBody)        => 201 (decisions::AmendmentDecided) .key().version().otherwise(decisions::TRIED_AMENDMENT).query(decisions::DECIDE);
    get  "/v1/grants/{id:grt}/balance"              [O R P U]   grants::grant_balance                                        => 200 (grants::BalanceView) .query(grants::MOMENT);
    get  "/v1/grants/{id:grt}/entries"              [O R U]     books::list_grant_entries                                    => 200 (books::EntryView) .list();
    get  "/v1/grants/{id:grt}/forecast"             [R O U]     forecast::grant_forecast                                     => 200 (forecast::GrantForecastView) .query(forecast::FORECAST);
    post "/v1/quotes"                               [R P O]     holds::create_quote (holds::QuoteBody)                       => 200 (holds::QuoteView);
    get  "/v1/holds"                                [R P O U]   holds::list_holds                                            => 200 (holds::HoldView) .list().query(holds::HOLDS).recorded();
    post "/v1/holds"                                [P]         holds::create_hold (holds::HoldBody)                         => 201 (holds::HoldView) .key();
    get  "/v1/holds/{id:hld}"                       [R P O U]   holds::get_hold                                              => 200 (holds::HoldView) .recorded();
    post "/v1/holds/{id:hld}/settle"                [P]         holds::settle_hold (usage::UsageBody)                        => 201 (usage::ChargeView) .otherwise(usage::REPEATED);
    post "/v1/holds/{id:hld}/release"               [P]         holds::release_hold (Empty)                                  => 201 (holds::HoldView) .key();
    post "/v1/holds/{id:hld}/extend"                [P]         holds::extend_hold (holds::ExtendBody)                       => 201 (holds::HoldView) .key();
    get  "/v1/usage"                                [R P O U]   usage::list_usage                                            => 200 (usage::UsageView) .list().query(usage::CHARGES).recorded();
    post "/v1/usage"                                [P]         usage::create_usage (usage::UsageBody)                       => 201 (usage::ChargeView) .otherwise(usage::REPEATED);
    post "/v1/usage/batch"                          [P]         batch::charge_batch (batch::BatchBody)                       => 207 (batch::UsageBatch) .stream().query(batch::BATCH);
    get  "/v1/usage/totals"                         [R P O U]   usage::usage_totals                                          => 200 (usage::UsageTotals) .query(usage::CHARGES);
    get  "/v1/usage/quarantine"                     [P O U]     quarantine::list_quarantine                                     => 200 (quarantine::QuarantineView) .list().query(quarantine::QUARANTINE).recorded();
    post "/v1/usage/quarantine/{id:usg}/resolve"    [P O]       quarantine::resolve_quarantine (quarantine::ResolutionBody)            => 201 (usage::ChargeView) .key().otherwise(quarantine::DISMISSED);
    get  "/v1/usage/{id:usg}"                       [R P O U]   usage::get_usage                                             => 200 (usage::UsageView) .recorded();
    get  "/v1/charges"                              [R P O U]   usage::list_charges                                          => 200 (usage::ChargeView) .list().query(usage::CHARGES).recorded();
    get  "/v1/charges/{id:chg}"                     [R P O U]   usage::get_charge                                            => 200 (usage::ChargeView) .recorded();
    get  "/v1/charges/{id:chg}/refunds"             [R P O U]   usage::list_refunds                                          => 200 (usage::RefundView) .list();
    post "/v1/charges/{id:chg}/refunds"             [P O]       usage::create_refund (usage::RefundBody)                     => 201 (usage::RefundPosted) .key();
    get  "/v1/refunds/{id:rfd}"                     [R P O U]   usage::get_refund                                            => 200 (usage::RefundView);
    get  "/v1/events"                               [ANY]       events::list_events                                          => 200 (events::EventView) .list().query(events::EVENTS).forms(events::FORMS);
    get  "/v1/webhooks"                             [ANY]       webhooks::list_webhooks                                      => 200 (webhooks::WebhookView) .list();
    post "/v1/webhooks"                             [ANY]       webhooks::create_webhook (webhooks::WebhookBody)             => 201 (webhooks::WebhookSecret);
    get  "/v1/webhooks/{id:whk}"                    [ANY]       webhooks::get_webhook                                        => 200 (webhooks::WebhookView);
    post "/v1/webhooks/{id:whk}/revocation"         [ANY]       webhooks::revoke_webhook (Empty)                             => 201 (webhooks::WebhookView) .key();
    post "/v1/webhooks/{id:whk}/rotation"           [ANY]       webhooks::rotate_webhook (Empty)                             => 201 (webhooks::WebhookSecret);
    post "/v1/webhooks/{id:whk}/test"               [ANY]       webhooks::test_webhook (Empty)                               => 201 (webhooks::DeliveryView) .key();
    get  "/v1/webhooks/{id:whk}/deliveries"         [ANY]       webhooks::list_webhook_deliveries                            => 200 (webhooks::DeliveryView) .list();
    post "/v1/webhooks/{id:whk}/deliveries/{event:evt}/redelivery" [ANY]       webhooks::redeliver_event (Empty)                            => 201 (webhooks::DeliveryView) .key();
    get  "/v1/accounts"                             [O U]       books::list_accounts                                         => 200 (books::AccountView) .list().query(books::ACCOUNTS);
    get  "/v1/accounts/{id}"                        [O U]       books::get_account                                           => 200 (books::AccountView) .query(grants::MOMENT);
    get  "/v1/accounts/{id}/entries"                [O U]       books::list_account_entries                                  => 200 (books::EntryView) .list();
    get  "/v1/transactions"                         [O U]       books::list_transactions                                     => 200 (books::TransactionView) .list();
    get  "/v1/transactions/{id:txn}"                [O U]       books::get_transaction                                       => 200 (books::TransactionView);
    post "/v1/transactions/{id:txn}/reversal"       [O]         books::reverse_transaction (books::ReversalBody)             => 201 (books::TransactionView) .key();
    get  "/v1/trial-balance"                        [O U]       books::trial_balance                                         => 200 (books::TrialBalance) .query(grants::MOMENT);
    get  "/v1/audit"                                [O U]       audit::audit                                                 => 200 (audit::AuditView) .query(audit::AUDIT);
}

/// A body without fields: `{}`.
#[derive(utoipa::ToSchema)]
#[schema(as = Empty)]
pub struct Empty {}
