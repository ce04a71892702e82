//! How proofs are told: line by line as they come, or as one document at the end.

use std::{
    collections::HashSet,
    io::{self, Write as _},
};

use serde::Serialize;
use serde_json::Value;

use super::{ProofFormat, allowance::Allowance, sarif};
use crate::{
    cli::{
        policy::{
            Format,
            finding::{self, Finding},
        },
        streams::Streams,
    },
    policy::Statement,
    prove::{Counterexample, Decided, Kind, Proof, Subject, Verdict},
};

/// Everything that was found out so far.
pub(super) struct Report<'a> {
    subject: Subject<'a>,
    against: Option<&'a str>,
    allowance: &'a Allowance,
    format: ProofFormat,
    solver: Option<String>,
    proofs: Vec<Proof>,
    /// Reasons that were told: a solver that is not there makes everything undecided for the same one.
    told: HashSet<String>,
}

const KINDS: [Kind; 4] = [Kind::Policy, Kind::Assumption, Kind::Invariant, Kind::Change];

impl<'a> Report<'a> {
    pub(super) fn new(subject: Subject<'a>, against: Option<&'a str>, allowance: &'a Allowance, format: ProofFormat) -> Self {
        Self { subject, against, allowance, format, solver: None, proofs: Vec::new(), told: HashSet::new() }
    }

    pub(super) fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    pub(super) const fn against(&self) -> Option<&str> {
        self.against
    }

    pub(super) const fn subject(&self) -> Subject<'a> {
        self.subject
    }

    /// Whether everything was proved, and nothing allows more that is not meant to.
    pub(super) fn is_good(&self) -> bool {
        !self.proofs.is_empty() && self.proofs.iter().all(|proof| proof.verdict.is_good() || self.is_allowed(proof))
    }

    /// Whether it is a widening that is meant.
    pub(super) fn is_allowed(&self, proof: &Proof) -> bool {
        self.allowance.allows(proof)
    }

    pub(super) fn solver(&mut self, solver: Result<String, String>, streams: &mut Streams<'_>) -> io::Result<()> {
        match solver {
            Ok(version) => {
                if self.format == ProofFormat::Human {
                    writeln!(streams.out, "solver: {version}")?;
                }
                self.solver = Some(version);
                Ok(())
            }
            Err(reason) => writeln!(streams.err, "error: {reason}"),
        }
    }

    /// Adds an answer, and tells it to people.
    pub(super) fn add(&mut self, proof: Proof, streams: &mut Streams<'_>) -> io::Result<()> {
        if self.format == ProofFormat::Human {
            if self.of(proof.kind).next().is_none() {
                let against = self.against.unwrap_or_default();
                let heading = match proof.kind {
                    Kind::Policy => "policies, none of which may err or be dead".to_owned(),
                    Kind::Assumption => "assumed".to_owned(),
                    Kind::Invariant => "invariants".to_owned(),
                    Kind::Change => format!("allowed now, against {against}"),
                };
                writeln!(streams.out, "\n{heading}")?;
            }
            self.write_human(&proof, streams)?;
        }
        if let (Some(statement), Verdict::Errs | Verdict::Vacuous) = (self.statement(&proof), proof.verdict) {
            let problem = if proof.verdict == Verdict::Vacuous {
                statement.diagnostic(
                    "no request matches the invariant, so it says nothing",
                    "correct its conditions, or the assumptions that rule out what it is about",
                )
            } else {
                let errors = proof.counterexamples.first().map(|found| found.action.as_str()).unwrap_or_default();
                statement.diagnostic(
                    format!("the invariant errs for some request on {errors}: it would silently match less than it says"),
                    "check with `has` what may be missing, and keep arithmetic away from the ends of 64 bits",
                )
            };
            finding::write_all(&[Finding::from(&problem)], Format::Human, streams)?;
        }
        self.proofs.push(proof);
        Ok(())
    }

    /// Ends the report.
    pub(super) fn finish(&self, streams: &mut Streams<'_>) -> io::Result<()> {
        self.allowance.write_needless(self, streams)?;
        match self.format {
            ProofFormat::Human => self.write_result(streams),
            ProofFormat::Json => finding::write_json(streams, &self.document()),
            ProofFormat::Sarif => finding::write_json(streams, &sarif::document(self)),
        }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Proof> {
        self.proofs.iter().filter(move |proof| proof.kind == kind)
    }

    /// The statement of an invariants folder that an answer is about.
    fn statement(&self, proof: &Proof) -> Option<&'a Statement> {
        let statements = match proof.kind {
            Kind::Assumption => &self.subject.invariants.assumptions,
            Kind::Invariant => &self.subject.invariants.claims,
            Kind::Policy | Kind::Change => return None,
        };
        statements.iter().find(|statement| statement.policy.id().to_string() == proof.name)
    }

    /// Where to look: file and line of the policy or the statement, or of the policy that decided otherwise.
    pub(super) fn place(&self, proof: &Proof) -> Option<(&'a str, usize)> {
        if let Some(statement) = self.statement(proof) {
            return Some((&statement.file, statement.line));
        }
        let decider = proof.counterexamples.first().and_then(|found| found.decided.policies.first());
        let name = if proof.kind == Kind::Policy { Some(&proof.name) } else { decider };
        let info = self.subject.engine.policies().iter().find(|info| name.is_some_and(|name| *info.id == **name))?;
        Some((&info.file, info.line))
    }

    fn write_human(&mut self, proof: &Proof, streams: &mut Streams<'_>) -> io::Result<()> {
        let is_allowed = self.is_allowed(proof);
        let verdict = streams.out.verdict(proof.verdict.is_good() || is_allowed, proof.verdict.word());
        let gap = " ".repeat(11usize.saturating_sub(proof.verdict.word().len()));
        let sentence = if proof.sentence.is_empty() { String::new() } else { format!(": {}", proof.sentence) };
        writeln!(streams.out, "  {verdict}{gap}{}{sentence}", proof.name)?;
        if is_allowed {
            writeln!(streams.out, "    allowed by `--allow-wider`")?;
        }
        for note in &proof.notes {
            if self.told.insert(note.clone()) {
                writeln!(streams.out, "    {note}")?;
            }
        }
        if let Some(found) = proof.counterexamples.first() {
            if let Some((file, line)) = self.place(proof) {
                writeln!(streams.out, "    at {file}:{line}")?;
            }
            write_counterexample(found, streams)?;
        }
        let others: Vec<&str> = proof.counterexamples.iter().skip(1).map(|found| found.action.as_str()).collect();
        if !others.is_empty() {
            writeln!(streams.out, "    also on {}", others.join(", "))?;
        }
        Ok(())
    }

    fn write_result(&self, streams: &mut Streams<'_>) -> io::Result<()> {
        let mut counts: Vec<(Kind, Verdict, bool, usize)> = Vec::new();
        for proof in &self.proofs {
            let like = (proof.kind, proof.verdict, self.is_allowed(proof));
            match counts.iter_mut().find(|(kind, verdict, allowed, _)| (*kind, *verdict, *allowed) == like) {
                Some((.., count)) => *count += 1,
                None => counts.push((like.0, like.1, like.2, 1)),
            }
        }
        let phrase = |(kind, verdict, allowed, count): &(Kind, Verdict, bool, usize)| {
            let (one, many) = match kind {
                Kind::Policy => ("policy", "policies"),
                Kind::Assumption => ("assumption", "assumptions"),
                Kind::Invariant => ("invariant", "invariants"),
                Kind::Change => ("action", "actions"),
            };
            let allowed = if *allowed { " (allowed)" } else { "" };
            format!("{count} {} {}{allowed}", if *count == 1 { one } else { many }, verdict.word())
        };
        let good = self.is_good();
        let result = streams.out.verdict(good, if good { "ok" } else { "FAILED" });
        writeln!(streams.out, "\n{result}: {}", counts.iter().map(phrase).collect::<Vec<_>>().join(", "))
    }

    fn document(&self) -> Document<'_> {
        let views = |kind| self.of(kind).map(View::from).collect::<Vec<View<'_>>>();
        let [policies, assumptions, invariants, changes] = KINDS.map(views);
        let changes = self.of(Kind::Change).zip(changes);
        let against = changes.map(|(proof, view)| View {
            id: None,
            action: view.id,
            allowed: (proof.verdict == Verdict::Wider).then(|| self.is_allowed(proof)),
            ..view
        });
        let against = against.collect();
        Document { invariants, against, policies, assumptions, solver: self.solver.as_deref(), diagnostics: &[] }
    }
}

fn write_counterexample(found: &Counterexample, streams: &mut Streams<'_>) -> io::Result<()> {
    let mut lines = vec![
        ("principal", found.principal.clone()),
        ("action", found.action.clone()),
        ("resource", found.resource.clone()),
        ("context", found.context.clone()),
    ];
    lines.extend(found.shown.iter().map(|entity| ("entity", entity.clone())));
    lines.push(("decided", sentence(&found.decided)));
    lines.extend(found.before.as_ref().map(|before| ("before", sentence(before))));
    lines.into_iter().try_for_each(|(name, text)| writeln!(streams.out, "      {name:<10} {text}"))
}

fn sentence(decided: &Decided) -> String {
    let decision = if decided.allowed { "allow" } else { "deny" };
    let by = if decided.policies.is_empty() { "no policy".to_owned() } else { decided.policies.join(", ") };
    let errors = if decided.errors.is_empty() { String::new() } else { format!("; {}", decided.errors.join("; ")) };
    format!("{decision} by {by}{errors}")
}

/// What kept anything from being proved, where a program reads the answer.
pub(super) fn write_refusal(format: ProofFormat, findings: &[Finding], streams: &mut Streams<'_>) -> io::Result<()> {
    match format {
        ProofFormat::Human => Ok(()),
        ProofFormat::Json => finding::write_json(streams, &Document { diagnostics: findings, ..Document::default() }),
        ProofFormat::Sarif => finding::write_json(streams, &sarif::refusal(findings)),
    }
}

/// The JSON form.
#[derive(Default, Serialize)]
struct Document<'a> {
    invariants: Vec<View<'a>>,
    against: Vec<View<'a>>,
    policies: Vec<View<'a>>,
    assumptions: Vec<View<'a>>,
    solver: Option<&'a str>,
    diagnostics: &'a [Finding],
}

#[derive(Serialize)]
struct View<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    verdict: &'static str,
    /// Whether a widening is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<bool>,
    #[serde(skip_serializing_if = "str::is_empty")]
    sentence: &'a str,
    notes: &'a [String],
    counterexamples: Vec<CounterexampleView<'a>>,
}

#[derive(Serialize)]
struct CounterexampleView<'a> {
    request: &'a Value,
    entities: &'a Value,
    decided: DecidedView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<DecidedView<'a>>,
}

#[derive(Serialize)]
struct DecidedView<'a> {
    decision: &'static str,
    policies: &'a [String],
    errors: &'a [String],
}

impl<'a> From<&'a Proof> for View<'a> {
    fn from(proof: &'a Proof) -> Self {
        let view = |found: &'a Counterexample| CounterexampleView {
            request: &found.request,
            entities: &found.entities,
            decided: (&found.decided).into(),
            before: found.before.as_ref().map(DecidedView::from),
        };
        Self {
            id: Some(&proof.name),
            action: None,
            verdict: proof.verdict.word(),
            allowed: None,
            sentence: &proof.sentence,
            notes: &proof.notes,
            counterexamples: proof.counterexamples.iter().map(view).collect(),
        }
    }
}

impl<'a> From<&'a Decided> for DecidedView<'a> {
    fn from(decided: &'a Decided) -> Self {
        let decision = if decided.allowed { "allow" } else { "deny" };
        Self { decision, policies: &decided.policies, errors: &decided.errors }
    }
}
