//! Why something was not done: one closed list of codes, each with one sentence, and the fields at fault.
//!
//! A refusal is decided before anything is written, names its cause and has nothing to undo. Codes are stable: clients match on
//! them. It may not know HTTP; the API door gives each code its status in one place.

use std::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $slug:literal $title:literal $remedy:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $title] $variant,)*
        }
        impl $name {
            /// Every code there is.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            /// The stable code on the wire.
            pub const fn slug(self) -> &'static str {
                match self { $($name::$variant => $slug,)* }
            }
            /// The code of that name on the wire.
            pub fn of_slug(slug: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|code| code.slug() == slug)
            }
            /// What it means, in one sentence.
            pub const fn title(self) -> &'static str {
                match self { $($name::$variant => $title,)* }
            }
            /// What to do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $($name::$variant => $remedy,)* }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.slug())
            }
        }
    };
}

codes! {
    /// The cause of a refusal.
    Code {
        MalformedJson "malformed_json" "The body is not readable JSON." "Send one JSON document in UTF-8.";
        UnknownParameter "unknown_parameter" "The query has a parameter that this endpoint does not know." "Remove it, or check its spelling against the API description.";
        InvalidParameter "invalid_parameter" "A query or path parameter can't be read." "Give it the form that the API description states.";
        WrongIdType "wrong_id_type" "The identifier is not one of the kind that is wanted here." "Use an identifier with the prefix that the detail names.";
        IdempotencyKeyMissing "idempotency_key_missing" "A request that moves credits needs an Idempotency-Key header." "Add a header such as Idempotency-Key: 3f1c… with a value of your own, and repeat it when you retry.";
        TokenMissing "token_missing" "The request carries no bearer token." "Send the header Authorization: Bearer TOKEN.";
        TokenMalformed "token_malformed" "The token is not a JSON Web Token in the form that is accepted here." "Ask the issuer for a new one.";
        TokenSignatureInvalid "token_signature_invalid" "The token's signature does not verify." "Ask the issuer for a new token.";
        TokenExpired "token_expired" "The token has expired." "Ask the issuer for a new token.";
        TokenNotYetValid "token_not_yet_valid" "The token is not valid yet." "Wait, or check the issuer's clock.";
        TokenAudienceInvalid "token_audience_invalid" "The token was made for another service." "Ask the issuer for a token for this ledger.";
        TokenIssuerUnknown "token_issuer_unknown" "Nobody here knows the token's issuer or key." "Have the administrator add the issuer's keys.";
        TokenAlgNotAllowed "token_alg_not_allowed" "The token's algorithm is not the one its key is pinned to." "Ask the issuer for a token signed with its registered algorithm.";
        TokenRevoked "token_revoked" "The token was revoked." "Ask the issuer for a new token.";
        Forbidden "forbidden" "Your role may not do this." "Ask someone whose role the API description names.";
        SelfApproval "self_approval" "Nobody decides what they asked for themselves." "Have another person decide.";
        SameApproverTwice "same_approver_twice" "An approval counts once for each person." "Have another person approve too.";
        ApprovalLimitExceeded "approval_limit_exceeded" "The amount is above what you may approve." "Have an officer with a higher limit decide.";
        ConflictOfInterest "conflict_of_interest" "Who has a part in it does not decide it." "Have somebody decide who has no part in it; an officer records a recusal.";
        NotFound "not_found" "There is no such thing, or it is not yours to see." "Check the address and the identifier.";
        MethodNotAllowed "method_not_allowed" "The address exists, but not with this method." "Use one of the methods in the Allow header.";
        InsufficientCredits "insufficient_credits" "There are not enough credits." "Ask for less, or for a supplement; the detail says how much is free.";
        GrantNotActive "grant_not_active" "The grant is not active at that time." "Name a grant that is active when the job ended.";
        LotExpired "lot_expired" "The lot has expired or lapsed." "Draw on another lot.";
        TermsNotMet "terms_not_met" "The donor's terms do not admit this." "Choose lots whose terms match.";
        AlreadyDecided "already_decided" "This is past the state in which that could be done." "Read its current state.";
        RefundExceedsCharge "refund_exceeds_charge" "More would be given back than was charged." "Refund at most what is left of the charge.";
        HoldNotOpen "hold_not_open" "The hold is not open any more." "Make another hold, or report the usage without one.";
        HoldsOpen "holds_open" "Credits of the grant are set aside for jobs." "Settle or release its holds first.";
        UsageConflict "usage_conflict" "The same usage was reported before with other content." "Refund the earlier charge, or report under another external_id.";
        DuplicateExternalId "duplicate_external_id" "That external_id is in use for another object of this kind." "Use the object that has it, or another external_id.";
        AlreadyReversed "already_reversed" "The transaction was reversed before, and is reversed once at most." "Read the reversal that exists.";
        NotReversible "not_reversible" "A transaction of this kind is undone by a transaction of its own kind, not by a reversal." "Use the refund, return or amendment that fits.";
        VersionMismatch "version_mismatch" "The object has changed since you read it." "Read it again and repeat with its new ETag in If-Match.";
        IfMatchRequired "if_match_required" "A decision must name the version that was read." "Send the ETag of the object in an If-Match header.";
        TooLarge "too_large" "The request is larger than is accepted." "Split it, or send NDJSON.";
        UnsupportedMediaType "unsupported_media_type" "The body has a media type that is not read here." "Send Content-Type: application/json.";
        NotAcceptable "not_acceptable" "The answer can't be given in any of the media types asked for." "Accept application/json, text/csv or application/x-ndjson.";
        ValidationFailed "validation_failed" "Some fields can't be accepted." "Mend the fields listed under errors.";
        IdempotencyKeyReused "idempotency_key_reused" "The Idempotency-Key was used before for another request." "Use a new key for a new request.";
        RateMissing "rate_missing" "A meter of the record has no rate in force at that time." "Have the provider set a rate for the meter in the grant's unit.";
        RateLimited "rate_limited" "Too many requests in too short a time." "Repeat after the seconds in Retry-After, and more slowly.";
        Busy "busy" "More is waiting to be written than is taken on." "Repeat after the seconds in Retry-After.";
        ReadOnly "read_only" "The books do not hold, so nothing is written until that is mended." "Ask the administrator to run almoner verify.";
        Internal "internal" "Something went wrong on our side; it is in the log under the request id." "Repeat later; tell the administrator the request id.";
        Unattributed "unattributed" "No active grant, or more than one, fits the record." "Name the grant, or map the account to one project.";
    }
}

codes! {
    /// What is wrong with one field.
    FieldCode {
        Required "required" "The field is missing." "Add it.";
        UnknownField "unknown_field" "The field is not known here." "Remove it, or check its spelling.";
        WrongType "wrong_type" "The field has another JSON type than is wanted." "Give it the type that the API description states.";
        Malformed "malformed" "The text is not of the form that is wanted." "Give it the form that the detail states.";
        AmountNotString "amount_not_string" "Amounts are strings, so that no digit is lost." "Put the number in quotes.";
        AmountScale "amount_scale" "The amount has more decimals than its unit." "Round it yourself; the ledger never does.";
        AmountNotPositive "amount_not_positive" "The amount must be more than zero." "Give a positive amount.";
        AmountRange "amount_range" "The amount is larger than the ledger can hold." "Give a smaller amount.";
        UnitUnknown "unit_unknown" "The ledger does not know the unit." "Use one of GET /v1/units.";
        UnitMismatch "unit_mismatch" "The amount counts another unit than is wanted here." "Use the unit that the detail names.";
        TimeInFuture "time_in_future" "The time lies more than five minutes ahead of the ledger's clock." "Check your clock and time zone.";
        PeriodInverted "period_inverted" "The period ends before it begins." "Put from before to.";
        TooLong "too_long" "The text is longer than is accepted." "Shorten it.";
        WrongIdType "wrong_id_type" "The identifier is not one of the kind that is wanted here." "Use an identifier with the prefix that the detail names.";
        Unknown "unknown" "There is no object with that identifier that you may use." "Check the identifier.";
        NotAllowed "not_allowed" "The value is not one of those allowed." "Use one of the values that the detail lists.";
    }
}

/// One field at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) into the request body, `/pledged/value`.
    pub pointer: String,
    /// What is wrong with it.
    pub code: FieldCode,
    /// The particulars, for a person.
    pub detail: String,
}

/// Why something was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The cause.
    pub code: Code,
    /// The particulars, for a person; never text of inner layers.
    pub detail: String,
    /// The particulars, for a program: `("shortfall", "12.500000")`.
    pub params: Vec<(&'static str, String)>,
    /// All the fields at fault, when the cause is `validation_failed`.
    pub errors: Vec<FieldError>,
}

impl Refusal {
    /// A refusal with its particulars.
    pub fn new(code: Code, detail: impl Into<String>) -> Refusal {
        Refusal { code, detail: detail.into(), params: Vec::new(), errors: Vec::new() }
    }

    /// `validation_failed` for one field.
    pub fn field(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Refusal {
        Refusal::fields(vec![FieldError { pointer: pointer.into(), code, detail: detail.into() }])
    }

    /// `validation_failed` for all these fields.
    pub fn fields(errors: Vec<FieldError>) -> Refusal {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", if one.pointer.is_empty() { "body" } else { &one.pointer }, one.detail),
            many => format!("{} fields can't be accepted; see errors.", many.len()),
        };
        Refusal { code: Code::ValidationFailed, detail, params: Vec::new(), errors }
    }

    /// `not_found`, in the same words for what is absent and what is another's.
    pub fn not_found() -> Refusal {
        Refusal::new(Code::NotFound, Code::NotFound.title())
    }

    /// The same with one more particular for programs.
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Refusal {
        self.params.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Refusal {}
