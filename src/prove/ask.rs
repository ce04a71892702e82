//! Asking the solver, one question at a time.

use std::io;

use cedar_policy::{EntityUid, Policy, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env, err::Error};

use super::{Event, Options, encode, process::Process};

/// The solver says that there is a request, and shows none that does what it says.
pub(super) const NOT_CONFIRMED: &str =
    "the solver's counterexample does not hold when the authorizer is asked; please report this with the policy files";

/// What can be asked about compiled policies. All hold when there is no request of the kind that they name.
pub(super) enum Question<'a> {
    /// A request for which the policy errs.
    NeverErrs(&'a CompiledPolicy),
    /// A request that the policy matches.
    NeverMatches(&'a CompiledPolicy),
    /// A request that the set allows.
    NeverAllows(&'a CompiledPolicySet),
    /// A request that both sets allow.
    Disjoint(&'a CompiledPolicySet, &'a CompiledPolicySet),
    /// A request that the first set allows and the second denies.
    Implies(&'a CompiledPolicySet, &'a CompiledPolicySet),
}

pub(super) enum Answer {
    Holds,
    /// The request and its entities, as the solver made them up.
    Fails(Box<Env>),
    /// Why nobody knows.
    Unknown(String),
}

/// The solver, and whoever wants to know what it is doing.
pub(super) struct Prover<'a> {
    compiler: CedarSymCompiler<Process>,
    limit: u128,
    tell: &'a mut dyn FnMut(Event<'_>) -> io::Result<()>,
}

impl<'a> Prover<'a> {
    /// Starts the solver. When it cannot be started, every question that needs it is unknown.
    pub(super) async fn start(options: Options, tell: &'a mut dyn FnMut(Event<'_>) -> io::Result<()>) -> io::Result<Self> {
        let limit = options.limit.as_millis();
        let mut process = Process::new(options.solver, options.program, options.limit);
        match process.greet().await {
            Ok(version) => tell(Event::Solver(Ok(version)))?,
            Err(error) => tell(Event::Solver(Err(&sentence(&Error::from(error), limit))))?,
        }
        let compiler = CedarSymCompiler::new(process).map_err(io::Error::other)?;
        Ok(Self { compiler, limit, tell })
    }

    pub(super) fn tell(&mut self, event: Event<'_>) -> io::Result<()> {
        (self.tell)(event)
    }

    /// Asks one question. `topic` and `check` name it in scripts and on the way.
    pub(super) async fn ask(&mut self, topic: &str, check: &str, env: &RequestEnv, question: Question<'_>) -> io::Result<Answer> {
        let action = env.action().to_string();
        self.tell(Event::Asking { topic, action: &action })?;
        let compiler = &mut self.compiler;
        let answer = match question {
            Question::NeverErrs(policy) => compiler.check_never_errors_with_counterexample_opt(policy).await,
            Question::NeverMatches(policy) => compiler.check_never_matches_with_counterexample_opt(policy).await,
            Question::NeverAllows(set) => compiler.check_always_denies_with_counterexample_opt(set).await,
            Question::Disjoint(one, other) => compiler.check_disjoint_with_counterexample_opt(one, other).await,
            Question::Implies(one, other) => compiler.check_implies_with_counterexample_opt(one, other).await,
        };
        let script = compiler.solver_mut().take_script();
        if !script.is_empty() {
            let types = format!("{} {} {}", env.principal(), action, env.resource());
            self.tell(Event::Script { name: &format!("{topic} {check} {types}"), text: &script })?;
        }
        Ok(match answer {
            Ok(None) => Answer::Holds,
            Ok(Some(env)) => Answer::Fails(Box::new(env)),
            Err(error) => Answer::Unknown(sentence(&error, self.limit)),
        })
    }
}

/// An error of the symbolic compiler, for people.
fn sentence(error: &Error, limit: u128) -> String {
    match error {
        Error::SolverUnknown => format!("the solver finds no answer within {limit} ms"),
        Error::SolverError(cedar_policy_symcc::err::SolverError::Solver(reason)) => reason.clone(),
        Error::ModelInvalid { .. } | Error::DecodeModel(_) | Error::ConcretizeError(_) => NOT_CONFIRMED.to_owned(),
        Error::PolicyNotWellTyped { errs } => errs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source.filter(|cause| !text.ends_with(&cause.to_string())) {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
}

/// The requests of one principal type, action and resource type, and the policies that can matter for them.
pub(super) struct World<'a> {
    pub env: RequestEnv,
    pub groups: Vec<EntityUid>,
    pub policies: Vec<&'a Policy>,
    pub compiled: Result<CompiledPolicySet, String>,
}

/// Every kind of request that a schema knows, in a fixed order.
pub(super) fn worlds<'a>(policies: &'a PolicySet, schema: &Schema, assumptions: &[Policy]) -> Vec<World<'a>> {
    let hierarchy = schema.action_entities().ok();
    let mut envs: Vec<RequestEnv> = schema.request_envs().collect();
    envs.sort_by_cached_key(|env| (env.action().to_string(), env.principal().to_string(), env.resource().to_string()));
    let world = |env: RequestEnv| {
        let groups = groups(hierarchy.as_ref(), env.action());
        let mut policies: Vec<&Policy> = policies.policies().filter(|policy| encode::can_match(policy, &env, &groups)).collect();
        policies.sort_by_key(|policy| policy.id().clone());
        let set = encode::set(policies.iter().copied(), assumptions);
        let compiled = set.and_then(|set| compile_set(&set, &env, schema));
        World { env, groups, policies, compiled }
    };
    envs.into_iter().map(world).collect()
}

/// The groups that an action is in, directly or not.
pub(super) fn groups(hierarchy: Option<&cedar_policy::Entities>, action: &EntityUid) -> Vec<EntityUid> {
    hierarchy.and_then(|all| all.ancestors(action)).into_iter().flatten().cloned().collect()
}

pub(super) fn compile(policy: &Policy, env: &RequestEnv, schema: &Schema) -> Result<CompiledPolicy, String> {
    CompiledPolicy::compile(policy, env, schema).map_err(|error| sentence(&error, 0))
}

pub(super) fn compile_set(set: &PolicySet, env: &RequestEnv, schema: &Schema) -> Result<CompiledPolicySet, String> {
    CompiledPolicySet::compile(set, env, schema).map_err(|error| sentence(&error, 0))
}
