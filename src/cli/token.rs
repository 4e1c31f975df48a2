//! `almoner token`: a token of the local issuer, on standard output and nothing beside it.

use std::io::{self, Write};

use clap::Args;

use super::exit::{Exit, Failure};
use super::place::Place;
use crate::actor::{Actor, Role};
use crate::id::{DonorId, Id, InstitutionId, Kind, ProjectId};
use crate::time::{Clock, SECOND, Time};

/// What the token is to say.
#[derive(Args, Debug)]
pub struct Options {
    /// Role: donor, officer, researcher, provider, auditor or admin; more than one by repeating it
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<Role>,
    /// Whom the token stands for
    #[arg(long = "as", value_name = "NAME")]
    subject: String,
    /// The donor whose donations a donor sees
    #[arg(long, value_name = "ID", value_parser = id::<crate::id::Donor>, required_if_eq("roles", "donor"))]
    donor: Option<DonorId>,
    /// A project that a researcher acts for, beside those of which NAME is a member; may be repeated
    #[arg(long = "project", value_name = "ID", value_parser = id::<crate::id::Project>)]
    projects: Vec<ProjectId>,
    /// The institution that a provider reports for
    #[arg(long, value_name = "ID", value_parser = id::<crate::id::Institution>, required_if_eq("roles", "provider"))]
    provider: Option<InstitutionId>,
    /// How long it is good for: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    ttl: i64,
}

/// Reads an identifier of one kind.
pub fn id<K: Kind>(text: &str) -> Result<Id<K>, String> {
    Id::parse(text).map_err(|refusal| refusal.detail)
}

/// Reads `90s`, `30m`, `12h` or `7d`.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || "write it like 90s, 30m, 12h or 7d, and at most 3650d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let total = i64::from(number) * unit;
    (1..=3650 * 86_400).contains(&total).then_some(total).ok_or_else(wrong)
}

/// A token that was just signed.
pub struct Issued {
    /// What is sent as `Authorization: Bearer …`.
    pub text: String,
    /// When it ends.
    pub expires_at: String,
}

/// Signs a token for an actor, good for so many seconds from now.
pub fn issue(place: &Place, actor: &Actor, ttl: i64) -> Result<Issued, Failure> {
    let wrong = |words: String| Failure::new(Exit::Configuration, words);
    let mut random = [0u8; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Failure::error("The machine gives no random numbers."))?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let now = Clock::system().now();
    let text = place.keys()?.issue(actor, ttl, now, &name).map_err(wrong)?;
    let end = now.micros().div_euclid(SECOND).saturating_add(ttl).saturating_mul(SECOND);
    Ok(Issued { text, expires_at: Time::from_micros(end).to_string() })
}

/// Prints the token that was asked for.
pub fn run(place: &Place, options: Options) -> Result<(), Failure> {
    let actor = Actor {
        roles: options.roles.iter().copied().collect(),
        donor: options.donor,
        projects: options.projects,
        provider: options.provider,
        ..Actor::operator(&options.subject)
    };
    let token = issue(place, &actor, options.ttl)?;
    match place.json {
        true => writeln!(io::stdout(), "{}", serde_json::json!({"token": token.text, "expires_at": token.expires_at}))?,
        false => writeln!(io::stdout(), "{}", token.text)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(["90s", "30m", "12h", "7d"].map(seconds), [Ok(90), Ok(1800), Ok(43_200), Ok(604_800)]);
        for bad in ["", "h", "1", "-1h", "1w", "0s", "3651d", "é"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
