//! The spreadsheet's sums against everything the service says: donors' summaries, grants' balances, lots, accounts, the trial balance,
//! and the exports.

use std::collections::BTreeMap;

use almoner::amount::{Amount, Unit as BookUnit};
use almoner::reports::export::Format;
use serde_json::Value;

use super::sheet::{Column, Of, What};
use super::stage::Who;
use super::sums::{Sum, Unit};
use super::year::Year;
use crate::support::almoner;
use crate::tools::{self, Balances, Tool};

/// The lines of a donor's table, by their names in the API.
const LINES: [&str; 8] = ["pledged", "delivered", "available", "granted", "held", "spent", "lapsed", "returned"];

const WIDTH: usize = 28;

impl Year {
    /// The eight figures of a donor, from the spreadsheet.
    fn donor_in_sheet(&self, donor: &str) -> [Sum; 8] {
        let donations: Vec<_> = self.sheet.donations.iter().filter(|donation| donation.donor == donor).collect();
        let unit = donations.first().map(|donation| donation.unit).expect("a donation");
        let of = |sum: &dyn Fn(Of<'_>) -> i64| donations.iter().map(|donation| sum(Of::donation(&donation.title))).sum::<i64>();
        let kinds = |kinds: &[What]| of(&|of| self.sheet.sum(kinds, of));
        let column = |column: Column| of(&|of| self.sheet.total(column, of));
        let minors = [
            kinds(&[What::Pledged]) - kinds(&[What::Cancelled]),
            kinds(&[What::Delivered, What::DeliveredBeyond]) - kinds(&[What::Undone]),
            column(Column::Available),
            column(Column::Free),
            column(Column::Held),
            column(Column::Spent),
            column(Column::Lapsed),
            column(Column::Returned),
        ];
        minors.map(|minor| Sum { minor, unit })
    }

    /// Every donor reads its own summary: it must be the spreadsheet's. Other donors' are not there for it.
    pub fn compare_donors(&self) {
        for donor in &self.donors {
            let unit = self.donor_in_sheet(donor)[0].unit.code();
            let summary = self.read(Who::Donor(donor), &format!("/v1/donors/{}/summary", self.stage.id("donor", donor)));
            let said = summary["units"].as_array().expect("units");
            assert_eq!((said.len(), said[0]["unit"].as_str()), (1, Some(unit)), "{summary}");
            let said = LINES.map(|line| Year::sum_of(&said[0][line]));
            assert_eq!(said, self.donor_in_sheet(donor), "{donor} on day {}: {LINES:?}", self.today());
            let other = self.donors.iter().find(|other| other != &donor).expect("another donor");
            self.stage.get(Who::Donor(donor), &format!("/v1/donors/{}/summary", self.stage.id("donor", other))).expect(404);
        }
    }

    /// Compares everything, and tells where each donor's credits are.
    pub fn quarter(&mut self, when: &str) {
        self.compare_donors();
        self.compare_lots();
        self.compare_grants();
        self.compare_accounts();
        self.remember();
        let mut table = format!("\nWhere the credits are {when}\n\n{:12}", "");
        self.donors.iter().for_each(|donor| table.push_str(&format!("{donor:>WIDTH$}")));
        let columns: Vec<[Sum; 8]> = self.donors.iter().map(|donor| self.donor_in_sheet(donor)).collect();
        for (place, line) in LINES.iter().enumerate() {
            table.push_str(&format!("\n{line:12}"));
            columns.iter().for_each(|column| table.push_str(&format!("{:>WIDTH$}", column[place].to_string())));
        }
        self.write(&table);
    }

    /// Every law holds now; and what the books said at the quarters before is, at those places in the journal, what they say today.
    fn remember(&mut self) {
        let audit = self.read(Who::Auditor, "/v1/audit");
        assert_eq!(audit["holds"], Value::Bool(true), "{audit}");
        for (path, then) in &self.said {
            assert_eq!(&self.read(Who::Auditor, path), then, "{path}");
        }
        let at = &audit["entries"];
        let grants = self.sheet.grants.iter().map(|grant| format!("/v1/grants/{}/balance?at={at}", self.stage.id("grant", &grant.name)));
        let paths: Vec<String> = grants.chain([format!("/v1/trial-balance?at={at}")]).collect();
        self.said.extend(paths.into_iter().map(|path| (path.clone(), self.stage.get(Who::Auditor, &path).expect(200).json)));
    }

    /// No report waits in quarantine, and nothing is set aside.
    pub fn leaves_nothing_open(&self) {
        for path in ["/v1/usage/quarantine?state=open", "/v1/holds?state=open"] {
            assert_eq!(self.stage.get_lines(Who::Auditor, path), Vec::<Value>::new(), "{path}");
        }
        assert!(self.holds.is_empty());
    }

    fn compare_lots(&self) {
        for lot in &self.sheet.lots {
            let path = format!("/v1/lots/{}", self.stage.id("lot", &lot.name));
            let said = self.read(Who::Auditor, &path)["whereabouts"].clone();
            let of = Of::lot(&lot.name);
            let column = |column| self.sheet.total(column, of);
            let delivered = self.sheet.sum(&[What::Delivered, What::DeliveredBeyond], of) - self.sheet.sum(&[What::Undone], of);
            let wanted = [
                ("delivered", delivered),
                ("available", column(Column::Available)),
                ("granted", column(Column::Free)),
                ("held", column(Column::Held)),
                ("spent", column(Column::Spent)),
                ("lapsed", column(Column::Lapsed)),
                ("returned", column(Column::Returned)),
            ];
            for (line, minor) in wanted {
                assert_eq!(Year::sum_of(&said[line]), Sum { minor, unit: lot.donation.unit }, "{line} of {}", lot.name);
            }
        }
    }

    fn compare_grants(&self) {
        for grant in &self.sheet.grants {
            let said = self.read(Who::Auditor, &format!("/v1/grants/{}/balance", self.stage.id("grant", &grant.name)));
            let minor = |line: &str| Year::sum_of(&said[line]).minor;
            let of = Of::grant(&grant.name);
            let (column, kinds) = (|column| self.sheet.total(column, of), |kinds: &[What]| self.sheet.sum(kinds, of));
            let refunds = [What::Refunded, What::RefundedToLot, What::RefundedLapsed, What::RefundedOwed];
            let wanted = [
                ("awarded", minor("awarded"), kinds(&[What::Awarded, What::PassedIn])),
                ("free", minor("available") + minor("lapsing"), column(Column::Free)),
                ("held", minor("held"), column(Column::Held)),
                ("spent", minor("spent"), column(Column::Spent)),
                ("refunded", minor("refunded"), kinds(&refunds)),
                ("lapsed", minor("lapsed"), kinds(&[What::ShareLapsed, What::ShareReturned, What::RefundedLapsed])),
                ("deobligated", minor("deobligated"), kinds(&[What::GivenBack, What::RefundedToLot])),
                ("transferred", minor("transferred"), kinds(&[What::PassedOn])),
                ("overdraft", minor("overdraft"), column(Column::Owed)),
            ];
            for (line, said, wanted) in wanted {
                assert_eq!(said, wanted, "{line} of {} on day {}", grant.name, self.today());
            }
        }
    }

    /// Every account that a row has touched, with its balance: debit positive.
    fn accounts_in_sheet(&self) -> BTreeMap<String, Sum> {
        let mut accounts = BTreeMap::new();
        let mut put = |name: String, column: Column, of: Of<'_>, unit: Unit| {
            if self.sheet.touches(column, of) {
                accounts.insert(name, Sum { minor: self.sheet.total(column, of), unit });
            }
        };
        for donation in &self.sheet.donations {
            let (id, of) = (self.stage.id("donation", &donation.title), Of::donation(&donation.title));
            put(format!("donation:{id}:receivable"), Column::Receivable, of, donation.unit);
            put(format!("donation:{id}:given"), Column::Given, of, donation.unit);
        }
        for lot in &self.sheet.lots {
            let (id, of, unit) = (self.stage.id("lot", &lot.name), Of::lot(&lot.name), lot.donation.unit);
            put(format!("lot:{id}:available"), Column::Available, of, unit);
            put(format!("lot:{id}:lapsed"), Column::Lapsed, of, unit);
            put(format!("lot:{id}:returned"), Column::Returned, of, unit);
            for grant in &self.sheet.grants {
                let (grant_id, of) = (self.stage.id("grant", &grant.name), Of::share(&grant.name, &lot.name));
                put(format!("grant:{grant_id}:{id}:available"), Column::Free, of, unit);
                put(format!("grant:{grant_id}:{id}:held"), Column::Held, of, unit);
                put(format!("grant:{grant_id}:{id}:spent"), Column::Spent, of, unit);
            }
        }
        for grant in &self.sheet.grants {
            let (id, of) = (self.stage.id("grant", &grant.name), Of::grant(&grant.name));
            put(format!("grant:{id}:overdraft:spent"), Column::Owed, of, grant.unit);
        }
        let owed = |(name, sum): (&String, &Sum)| {
            Some((name.strip_suffix("overdraft:spent")?.to_owned() + "overdraft:owed", Sum { minor: -sum.minor, ..*sum }))
        };
        let mirrors: Vec<(String, Sum)> = accounts.iter().filter_map(owed).collect();
        accounts.extend(mirrors);
        accounts
    }

    /// The service has the spreadsheet's accounts and no others, each with its balance; and they add up, class by class.
    fn compare_accounts(&self) {
        let wanted = self.accounts_in_sheet();
        let listed = self.stage.get_lines(Who::Auditor, "/v1/accounts");
        let said = listed.iter().map(|account| (account["id"].as_str().expect("a name").to_owned(), Year::sum_of(&account["balance"])));
        assert_eq!(said.collect::<BTreeMap<_, _>>(), wanted, "the accounts on day {}", self.today());
        let mut classes: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (name, sum) in &wanted {
            let class = match name.rsplit(':').next().expect("a word") {
                "given" => "income",
                "lapsed" | "spent" => "expense",
                "returned" => "equity",
                "owed" => "liability",
                _ => "asset",
            };
            *classes.entry((sum.unit.code(), class)).or_default() += sum.minor;
        }
        let trial = self.read(Who::Auditor, "/v1/trial-balance");
        assert_eq!(trial["balanced"], Value::Bool(true));
        let mut said = BTreeMap::new();
        for unit in trial["units"].as_array().expect("units") {
            for (class, sum) in unit["classes"].as_object().expect("classes") {
                said.insert((unit["unit"].as_str().expect("a unit"), class.as_str()), Year::sum_of(sum).minor);
            }
        }
        assert_eq!(said, classes, "the trial balance on day {}", self.today());
    }

    /// Books that a stranger's tools accept, with the spreadsheet's balances; and every law holds.
    pub fn audit(&mut self) {
        self.stage.close();
        let (data, url) = (self.stage.data.to_str().expect("UTF-8").to_owned(), self.stage.database.url.clone());
        let place = ["--data", data.as_str(), "--database", url.as_str()];
        let verified = almoner(["verify"].iter().chain(&place)).ok();
        assert!(verified.stderr.contains("The books hold."), "{verified:#?}");
        let wanted = self.accounts_in_sheet();
        for format in Format::ALL {
            let file = self.stage.data.join(format.word());
            let path = file.to_str().expect("UTF-8");
            almoner(["export", "--format", format.word(), "-o", path].iter().chain(&place)).ok();
            let text = std::fs::read_to_string(&file).expect("an export");
            match format {
                Format::Csv => assert_eq!(add_up(csv_rows(&text)), wanted, "the export as CSV"),
                Format::Ndjson => assert_eq!(add_up(text.lines().map(ndjson_row)), wanted, "the export as NDJSON"),
                _ => {}
            }
        }
        let balance = |(name, sum): (&String, &Sum)| {
            let unit = BookUnit::new(sum.unit.code(), u8::try_from(sum.unit.scale()).expect("small")).expect("a unit");
            (name.clone(), Amount::new(sum.minor, unit))
        };
        let balances: Balances = wanted.iter().map(balance).collect();
        for tool in Tool::ALL {
            tools::verify(tool, &self.stage.data.join(tool.format().word()), &balances);
        }
    }
}

fn add_up(rows: impl Iterator<Item = (String, Sum)>) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (account, part) in rows {
        sums.entry(account).and_modify(|sum| sum.minor += part.minor).or_insert(part);
    }
    sums
}

fn csv_rows(text: &str) -> impl Iterator<Item = (String, Sum)> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().expect("a header");
    let place = |name: &str| head.iter().position(|column| *column == name).expect("a column");
    let (account, amount, unit) = (place("account"), place("amount"), place("unit"));
    lines.map(move |cells| (cells[account].to_owned(), Sum::read(&format!("{} {}", cells[amount], cells[unit]))))
}

fn ndjson_row(line: &str) -> (String, Sum) {
    let row: Value = serde_json::from_str(line).expect("a row");
    (row["account"].as_str().expect("an account").to_owned(), Year::sum_of(&row["amount"]))
}

impl Year {
    /// Tells what became of every request.
    pub fn outcome(&mut self) {
        let mut names: Vec<(String, &'static str)> = self.asked.keys().map(|name| (self.stage.id("grant", name), *name)).collect();
        // Identifiers grow in the order in which things were made.
        names.sort();
        let mut table = format!("\nWhat became of the {} requests\n\n", names.len());
        table.push_str(&format!("{:20}{:>26}{:>26}{:>26}  {}\n", "", "asked for", "awarded", "used", ""));
        for (id, name) in names {
            let said = self.read(Who::Auditor, &format!("/v1/grants/{id}"));
            let (asked, of) = (self.asked[name].sum, Of::grant(name));
            assert_eq!(Year::sum_of(&said["requested"]), asked, "{name}");
            let awarded = Sum { minor: self.sheet.sum(&[What::Awarded, What::PassedIn], of), ..asked };
            let used = Sum { minor: self.sheet.total(Column::Spent, of) + self.sheet.total(Column::Owed, of), ..asked };
            let state = said["state"].as_str().expect("a state").replace('_', " ");
            let line = format!("{name:20}{:>26}{:>26}{:>26}  {state}\n", asked.to_string(), awarded.to_string(), used.to_string());
            table.push_str(&line);
        }
        self.write(table.trim_end());
    }
}
