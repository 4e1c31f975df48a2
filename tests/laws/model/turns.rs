//! Turns that holds, jobs in parts and grants take: each is to be met often enough.

pub const WITHIN: &str = "settled within what was held";
pub const BEYOND: &str = "settled beyond what was held";
pub const LATE: &str = "settled after it had expired";
pub const BY_JOB: &str = "drawn on by its job's name";
pub const PART: &str = "drawn on by a part";
pub const TOTAL_ABOVE: &str = "a total at least its parts";
pub const TOTAL_BELOW: &str = "a total below its parts";
pub const EXPIRY_COVERS: &str = "an expiry that covers an overdraft";
pub const RELEASE_COVERS: &str = "a release that covers an overdraft";
pub const OTHER_LOTS: &str = "an extension to other lots";
pub const FIRST: &str = "an approval that waits for another";
pub const SECOND: &str = "a second approval";
pub const THIRD: &str = "a third approval";
pub const VOIDED: &str = "approvals voided by an edit or a review";
pub const DROPPED: &str = "an approval of somebody who stood back since";
pub const CARRIED: &str = "a renewal that takes credits along";
pub const COVERS: &str = "a supplement or transfer that covers an overdraft";
pub const SUSPENDED: &str = "a job of a suspended grant, begun before";
pub const CLOSED: &str = "a job of a closed grant, reported in time";

pub const TURNS: [&str; 19] = [
    WITHIN,
    BEYOND,
    LATE,
    BY_JOB,
    PART,
    TOTAL_ABOVE,
    TOTAL_BELOW,
    EXPIRY_COVERS,
    RELEASE_COVERS,
    OTHER_LOTS,
    FIRST,
    SECOND,
    THIRD,
    VOIDED,
    DROPPED,
    CARRIED,
    COVERS,
    SUSPENDED,
    CLOSED,
];
