//! Runs the solver on a program, and the way back from counts to named workloads.

use crate::milp::links::Links;
use crate::milp::model::Model;
use crate::milp::options::{Imbalance, MilpError, Options, Status};
use crate::order::Move;
use godwit_envs::state::ClusterState;
use godwit_envs::state::term::Term;
use highs::{Col, HighsModelStatus, HighsSolutionStatus, Sense};

/// What the solver found.
pub struct Found {
    pub status: Status,
    pub bound: Option<f64>,
    pub covers_all_terms: bool,
    pub moves: Vec<Move>,
}

impl Model {
    /// Runs the solver and names the workloads that move.
    pub fn solve(mut self, state: &ClusterState, options: &Options) -> Result<Found, MilpError> {
        let uses_imbalance = state.objective.uses(Term::Imbalance);
        let covers_all_terms = !uses_imbalance;
        let proves = !(uses_imbalance && options.imbalance == Imbalance::Deviation);
        if self.kinds.is_empty() {
            // Nothing may move.
            let mut level = state.level_terms();
            if uses_imbalance {
                level[Term::Imbalance as usize] = 0.0;
            }
            let bound = proves.then(|| f64::from(state.objective.level(&level)));
            let moves = Vec::new();
            return Ok(Found { status: Status::Optimal, bound, covers_all_terms, moves });
        }
        let failed = |what: &dyn std::fmt::Debug| MilpError::Solver(format!("{what:?}"));
        let mut solver = std::mem::take(&mut self.problem)
            .try_optimise(Sense::Minimise)
            .map_err(|error| failed(&error))?;
        solver.make_quiet();
        let seconds = options.time_limit.as_secs_f64();
        // One thread: the same search on every machine, as long as time does not run out.
        solver.try_set_option("threads", 1).map_err(|error| failed(&error))?;
        solver.try_set_option("time_limit", seconds).map_err(|error| failed(&error))?;
        solver
            .try_set_option("mip_rel_gap", options.relative_gap)
            .map_err(|error| failed(&error))?;
        solver.try_set_option("mip_abs_gap", 1e-7).map_err(|error| failed(&error))?;
        if let Some(nodes) = options.node_limit {
            let nodes = nodes.min(i32::MAX as u32) as i32;
            solver.try_set_option("mip_max_nodes", nodes).map_err(|error| failed(&error))?;
        }
        // A start only helps: without it the solver looks for one itself.
        let _ = solver.try_set_solution(Some(&self.start), None, None, None);
        let solved = solver.try_solve().map_err(|error| failed(&error))?;
        let status = match solved.status() {
            HighsModelStatus::Optimal => Status::Optimal,
            HighsModelStatus::ReachedTimeLimit | HighsModelStatus::ReachedSolutionLimit => {
                Status::Limit
            }
            other => return Err(failed(&other)),
        };
        let dual = solved.double_info_value(c"mip_dual_bound").map_err(|error| failed(&error))?;
        let bound = proves.then(|| (dual / self.scale + self.constant).max(0.0));
        let columns = match solved.primal_solution_status() {
            HighsSolutionStatus::Feasible => solved.get_solution().columns().to_vec(),
            _ => self.start.clone(),
        };
        let moves = self.moves(state, &columns);
        Ok(Found { status, bound, covers_all_terms, moves })
    }

    /// Names the workloads that move, given the columns' values.
    fn moves(&self, state: &ClusterState, columns: &[f64]) -> Vec<Move> {
        let count = |col: Col| columns[col.index()].round().max(0.0) as usize;
        let links = Links::new(state);
        let mut moves = Vec::new();
        for ((kind, out), arrivals) in self.kinds.iter().zip(&self.out).zip(&self.arrivals) {
            let mut leave: Vec<(usize, usize)> =
                kind.sources.iter().zip(out).map(|(s, &col)| (s.node, count(col))).collect();
            let mut arrive: Vec<(usize, usize)> =
                arrivals.iter().map(|&(d, col)| (d, count(col))).collect();
            // What leaves and arrives alike need not move.
            for (node, left) in &mut leave {
                if let Some((_, came)) = arrive.iter_mut().find(|(d, _)| d == node) {
                    let both = (*left).min(*came);
                    *left -= both;
                    *came -= both;
                }
            }
            let mut from: Vec<usize> = kind
                .sources
                .iter()
                .zip(&leave)
                .flat_map(|(source, &(_, left))| source.workloads.iter().copied().take(left))
                .collect();
            let mut to: Vec<usize> =
                arrive.iter().flat_map(|&(d, came)| std::iter::repeat_n(d, came)).collect();
            // The slower link sets the price of a move: pairing fast with fast is cheapest.
            from.sort_by_key(|&k| links.of[state.placement[k] as usize]);
            to.sort_by_key(|&d| links.of[d]);
            moves.extend(from.into_iter().zip(to));
        }
        moves
    }
}
