//! Coverage: what the test cases have shown of each policy and each clause.
//!
//! A policy counts once it decided a case: it is among the determining policies of the answer, a `permit` of an allow, a
//! `forbid` of a denial. A clause counts twice: once for a case in which it is true, once for one in which it is false.
//!
//! - A case shows something about a clause only where the scope of its policy matches the request. Each clause is evaluated
//!   alone, whatever the others say; one that cannot be evaluated (`principal.expires_at < …` of a key without) is neither.
//! - A case that fails, or that never reaches the policies because its request does not fit the schema, shows nothing.
//! - Scopes are no clauses, and a policy without a clause counts once.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use cedar_policy::EntityUid;

use super::{
    cases::{Case, CaseResult},
    clause::{Anatomy, Piece, Truth},
    compiled::is_open,
    cores::{CASE_STACK, on_every_core},
    diagnostic::{Diagnostic, LoadError},
    engine::{Effect, Engine},
    situation::{Situation, Situations},
};

/// What cases have shown of a policy set.
#[derive(Debug)]
pub struct Coverage {
    /// In the order of files and lines.
    pub policies: Vec<PolicyCoverage>,
    pub cases: usize,
    /// Cases that do not hold, and so show nothing.
    pub failed: usize,
}

/// What cases have shown of one policy.
#[derive(Debug)]
pub struct PolicyCoverage {
    pub anatomy: Anatomy,
    /// Whether it decided a case.
    pub decided: bool,
    /// What was seen of each clause, in the order of [`Anatomy::clauses`].
    pub seen: Vec<Seen>,
}

/// Which values of a clause were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub as_true: bool,
    pub as_false: bool,
}

/// Something that no case has shown.
#[derive(Debug, Clone, Copy)]
pub struct Gap<'a> {
    pub policy: &'a Anatomy,
    /// The clause that it is about; without one, the policy as a whole.
    pub clause: Option<&'a Piece>,
    /// What has not been shown: `never seen false`.
    pub what: &'static str,
}

impl Gap<'_> {
    /// Line and column of the clause, or of the policy, counted from 1.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        let info = &self.policy.info;
        self.clause.map_or((info.line, info.column), |clause| clause.position)
    }
}

impl Seen {
    const fn add(&mut self, other: Self) {
        self.as_true |= other.as_true;
        self.as_false |= other.as_false;
    }

    const fn is_complete(self) -> bool {
        self.as_true && self.as_false
    }

    /// What has not been seen, if anything.
    #[must_use]
    pub const fn gap(self) -> Option<&'static str> {
        match (self.as_true, self.as_false) {
            (true, true) => None,
            (true, false) => Some("never seen false"),
            (false, true) => Some("never seen true"),
            (false, false) => Some("never seen true or false"),
        }
    }
}

impl PolicyCoverage {
    /// What the policy as a whole lacks, if anything.
    #[must_use]
    pub const fn gap(&self) -> Option<&'static str> {
        match (self.decided, self.anatomy.info.effect) {
            (true, _) => None,
            (false, Effect::Permit) => Some("never the reason of an allow"),
            (false, Effect::Forbid) => Some("never the reason of a denial"),
        }
    }

    /// Everything that no case has shown of it.
    pub fn gaps(&self) -> impl Iterator<Item = Gap<'_>> {
        let policy = &self.anatomy;
        let clauses = policy.clauses.iter().zip(&self.seen);
        let clauses = clauses.filter_map(move |(clause, seen)| Some(Gap { policy, clause: Some(clause), what: seen.gap()? }));
        self.gap().map(|what| Gap { policy, clause: None, what }).into_iter().chain(clauses)
    }

    fn count(&self) -> Share {
        let seen = self.seen.iter().map(|seen| usize::from(seen.as_true) + usize::from(seen.as_false));
        Share { part: usize::from(self.decided) + seen.sum::<usize>(), whole: 1 + 2 * self.seen.len() }
    }
}

impl Coverage {
    /// Runs the cases, on every core, and looks at every clause. Says each result as it comes, in no order.
    ///
    /// # Errors
    /// None for an engine that was loaded, unless memory is short.
    pub fn measure<'c>(
        engine: &Engine,
        cases: impl IntoIterator<Item = &'c Case>,
        said: impl Fn(&CaseResult) + Sync,
    ) -> Result<Self, LoadError> {
        let anatomies = engine.dissect()?;
        let situations = Situations::new(engine)?;
        let plan = Plan::new(engine, &anatomies);
        let cases: Vec<&Case> = cases.into_iter().collect();
        let watch = |part: &[&Case]| {
            let mut watch = Watch::new(engine, &plan);
            for case in part {
                watch.run(case, &situations, &said);
            }
            watch
        };
        let watches = on_every_core(CASE_STACK, &cases, watch).map_err(|error| Diagnostic::general(error.to_string()))?;
        let (mut seen, mut decided, mut failed) = (plan.nothing_seen(), HashSet::new(), 0);
        for watch in watches {
            seen.iter_mut().flatten().zip(watch.seen.into_iter().flatten()).for_each(|(all, seen)| all.add(seen));
            decided.extend(watch.decided);
            failed += watch.failed;
        }
        let policies = anatomies.into_iter().zip(seen).map(|(anatomy, seen)| {
            let decided = decided.contains(&anatomy.info.id);
            PolicyCoverage { anatomy, decided, seen }
        });
        Ok(Self { policies: policies.collect(), cases: cases.len(), failed })
    }

    /// What has been shown, of all that there is to show.
    #[must_use]
    pub fn count(&self) -> Share {
        self.policies.iter().map(PolicyCoverage::count).fold(Share { part: 0, whole: 0 }, Share::plus)
    }

    /// Policies that decided a case.
    #[must_use]
    pub fn decided(&self) -> Share {
        Share { part: self.policies.iter().filter(|policy| policy.decided).count(), whole: self.policies.len() }
    }

    /// Clauses that were seen true and false.
    #[must_use]
    pub fn clauses(&self) -> Share {
        let clauses = || self.policies.iter().flat_map(|policy| &policy.seen);
        Share { part: clauses().filter(|seen| seen.is_complete()).count(), whole: clauses().count() }
    }

    /// Everything that no case has shown, in the order of files and lines.
    pub fn gaps(&self) -> impl Iterator<Item = Gap<'_>> {
        self.policies.iter().flat_map(PolicyCoverage::gaps)
    }
}

/// What there is to look at.
struct Plan<'e> {
    anatomies: &'e [Anatomy],
    /// The clauses of each policy, as numbers of texts: a text is worth the same wherever it stands.
    texts: Vec<Vec<usize>>,
    different: usize,
    /// By action: the policies that can matter for it.
    open: HashMap<EntityUid, Vec<Open>>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    policy: usize,
    /// Whether its scope matches every request for the action, and need not be asked.
    always: bool,
}

impl<'e> Plan<'e> {
    fn new(engine: &Engine, anatomies: &'e [Anatomy]) -> Self {
        let numbers: HashMap<&str, usize> =
            anatomies.iter().enumerate().map(|(number, anatomy)| (&*anatomy.info.id, number)).collect();
        let slices = engine.keys.values().chain(engine.admins.values());
        let open = slices.map(|slice| {
            let policies = slice.policies.iter().map(|compiled| compiled.policy()).filter_map(|policy| {
                let number = numbers.get(AsRef::<str>::as_ref(policy.id()))?;
                // A slice leaves out what matches by construction.
                Some(Open { policy: *number, always: is_open(policy) })
            });
            (slice.action.clone(), policies.collect())
        });
        let mut different: HashMap<&str, usize> = HashMap::new();
        let mut number = |clause: &'e Piece| {
            let next = different.len();
            *different.entry(&clause.text).or_insert(next)
        };
        let texts = anatomies.iter().map(|anatomy| anatomy.clauses.iter().map(&mut number).collect()).collect();
        Self { anatomies, texts, open: open.collect(), different: different.len() }
    }

    fn nothing_seen(&self) -> Vec<Vec<Seen>> {
        self.texts.iter().map(|texts| vec![Seen::default(); texts.len()]).collect()
    }
}

/// What some of the cases have shown.
struct Watch<'p, 'e> {
    engine: &'e Engine,
    plan: &'p Plan<'e>,
    seen: Vec<Vec<Seen>>,
    decided: HashSet<Arc<str>>,
    failed: usize,
    /// The plan's, without what has nothing left to show.
    open: HashMap<EntityUid, Vec<Open>>,
}

impl<'p, 'e> Watch<'p, 'e> {
    fn new(engine: &'e Engine, plan: &'p Plan<'e>) -> Self {
        Self { engine, plan, seen: plan.nothing_seen(), decided: HashSet::new(), failed: 0, open: plan.open.clone() }
    }

    fn run(&mut self, case: &Case, situations: &Situations<'_>, said: impl Fn(&CaseResult)) {
        let result = case.run(self.engine);
        if result.passed() {
            // A denial that no rule decided names rules that would have decided otherwise.
            let deciders = result.got.policies.iter().filter(|_| result.got.detail.is_none());
            self.decided.extend(deciders.cloned());
            if let Ok(situation) = situations.of(&case.asked) {
                self.look(&situation);
            }
        } else {
            self.failed += 1;
        }
        said(&result);
    }

    fn look(&mut self, Situation { slice, request, entities }: &Situation<'_>) {
        let (engine, plan, all_seen) = (self.engine, self.plan, &mut self.seen);
        let Some(open) = self.open.get_mut(&slice.action) else { return };
        let mut known: Vec<Option<Truth>> = vec![None; plan.different];
        open.retain(|Open { policy, always }| {
            let parts = (plan.anatomies.get(*policy), plan.texts.get(*policy), all_seen.get_mut(*policy));
            let (Some(anatomy), Some(texts), Some(seen)) = parts else { return false };
            if seen.iter().all(|seen| seen.is_complete()) {
                return false;
            }
            if !always && !anatomy.scope_matches(&engine.authorizer, request, entities) {
                return true;
            }
            for ((clause, text), seen) in anatomy.clauses.iter().zip(texts).zip(seen).filter(|(_, seen)| !seen.is_complete()) {
                let Some(known) = known.get_mut(*text) else { continue };
                match known.get_or_insert_with(|| clause.ask(&engine.authorizer, request, entities)) {
                    Truth::True => seen.as_true = true,
                    Truth::False => seen.as_false = true,
                    Truth::Error(_) => {}
                }
            }
            true
        });
    }
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub part: usize,
    pub whole: usize,
}

impl Share {
    const fn plus(self, other: Self) -> Self {
        Self { part: self.part + other.part, whole: self.whole + other.whole }
    }

    /// In hundredths of a percent, rounded down: 10 000 is everything.
    #[must_use]
    pub fn hundredths(self) -> u32 {
        let hundredths = (self.part * 10_000).checked_div(self.whole).unwrap_or(10_000);
        u32::try_from(hundredths).unwrap_or(0)
    }

    /// Whether it is at least so much; exact, without rounding.
    #[must_use]
    pub const fn reaches(self, least: Percent) -> bool {
        // Both sides are far from overflowing: the whole is a number of things in memory.
        self.part as u128 * Percent::WHOLE as u128 >= least.0 as u128 * self.whole as u128
    }
}

impl fmt::Display for Share {
    /// In percent, rounded down: 100 % is everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.hundredths();
        match hundredths % 100 {
            0 => write!(f, "{} %", hundredths / 100),
            rest => write!(f, "{}.{rest:02} %", hundredths / 100),
        }
    }
}

/// A share that is asked for: 0 to 100 with at most four decimal places, kept exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u32);

/// A text that is no [`Percent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number from 0 to 100, with at most four decimal places")]
pub struct BadPercent;

impl Percent {
    const WHOLE: u32 = 1_000_000;
}

impl FromStr for Percent {
    type Err = BadPercent;

    fn from_str(text: &str) -> Result<Self, BadPercent> {
        let (whole, decimals) = text.split_once('.').map_or((text, None), |(whole, decimals)| (whole, Some(decimals)));
        let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 3) || decimals.is_some_and(|decimals| !digits(decimals, 4)) {
            return Err(BadPercent);
        }
        let number = format!("{whole}{:0<4}", decimals.unwrap_or_default()).parse().map_err(|_| BadPercent)?;
        if number > Self::WHOLE { Err(BadPercent) } else { Ok(Self(number)) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        write!(f, "{} %", text.trim_end_matches('0').trim_end_matches('.'))
    }
}
