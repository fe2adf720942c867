//! `godwit explain`: what a policy's moves are for, and where a baseline would decide otherwise.

use super::evaluate::{contender_of, policies, tuned_parameters};
use super::output;
use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::scenario::{Phase, WorldTemplate};
use godwit_evaluate::Contender;
use godwit_evaluate::progress::Progress;
use godwit_models::explain::{Decisions, Purpose, explain};
use rayon::prelude::*;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Show what a policy's moves are for, and where a baseline would decide otherwise.
///
/// The policy plays held-out episodes, and the baseline is asked in every state on the way; then
/// the other way round. Each move has one purpose, the first that holds: it leaves a draining or a
/// degraded node, it lowers the objective at once, it lowers it at a forecast horizon, or it does
/// none of these and makes room for others. The price of a move is left aside.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  godwit explain faults --policy checkpoints/faults --against evacuate --tuned
  godwit explain diurnal --policy policy.pt --against best-single-move --json")]
pub struct Args {
    /// Embedded scenario or scenario file
    scenario: String,
    /// An artifact (FILE.pt), a run's folder (its best checkpoint), a checkpoint's folder, or the
    /// name of an embedded scenario for the policy that comes with the program
    #[arg(long, value_name = "FILE|DIR|NAME")]
    policy: PathBuf,
    /// The baseline
    #[arg(long, value_name = "NAME")]
    against: String,
    /// The baseline's parameters, from `godwit tune-baselines` [without FILE:
    /// baselines/SCENARIO.toml]
    #[arg(long, value_name = "FILE.toml", num_args = 0..=1)]
    tuned: Option<Option<PathBuf>>,
    /// Episodes that each of the two plays
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    episodes: u32,
    /// Seed of the first episode; the others follow it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads to use; 0 for one per core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON document instead of the tables
    #[arg(long)]
    json: bool,
}

/// Who decides, who is asked, and what came of it over all episodes.
#[derive(Debug, Serialize)]
struct Explained {
    scenario: String,
    policy: String,
    asked: String,
    episodes: u32,
    first_seed: u64,
    /// In the order of the moves in `decisions`.
    purposes: [Purpose; 5],
    decisions: Decisions,
}

/// Runs the command.
///
/// # Errors
/// When the scenario or the policy cannot be used, or an episode cannot be played.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::use_threads(args.threads)?;
    let scenario = super::scenario(&args.scenario)?;
    let policy = Contender::trained(&policies(&scenario, std::slice::from_ref(&args.policy))?[0]);
    let mut tuned = tuned_parameters(args.tuned.as_ref(), &scenario)?;
    let baseline = contender_of(&args.against, &mut tuned, "--against")?;
    let env = ClusterEnv::new(Arc::new(WorldTemplate::new(&scenario)), Phase::Evaluate)?;
    let bar = Progress::new(!args.json, 2 * u64::from(args.episodes), "episodes");
    let decisions = |player: &Contender, asked: &Contender| -> anyhow::Result<Decisions> {
        let seeds = (0..u64::from(args.episodes)).into_par_iter();
        let of_episodes = seeds
            .map_init(
                || (env.clone(), (player.factory)(), (asked.factory)()),
                |(env, player, asked), episode| {
                    let seed = args.seed.wrapping_add(episode);
                    let decisions = explain(env, player.as_mut(), asked.as_mut(), seed)?;
                    bar.inc(1);
                    Ok(decisions)
                },
            )
            .collect::<anyhow::Result<Vec<_>>>()
            .with_context(|| format!("policy {}", player.name))?;
        let mut sum = Decisions::default();
        of_episodes.into_iter().for_each(|decisions| sum += decisions);
        Ok(sum)
    };
    let explained = [(&policy, &baseline), (&baseline, &policy)].map(|(player, asked)| {
        anyhow::Ok(Explained {
            scenario: scenario.name.clone(),
            policy: player.name.clone(),
            asked: asked.name.clone(),
            episodes: args.episodes,
            first_seed: args.seed,
            purposes: Purpose::ALL,
            decisions: decisions(player, asked)?,
        })
    });
    let explained: Vec<Explained> = explained.into_iter().collect::<anyhow::Result<_>>()?;
    bar.finish();
    if args.json {
        output::print_json(&explained)?;
    } else {
        output::print(&explained.iter().map(text).collect::<Vec<_>>().join("\n\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A heading and the table.
fn text(explained: &Explained) -> String {
    let Explained { scenario, policy, asked, episodes, decisions, .. } = explained;
    let per_episode = |count: u32| format!("{:.2}", f64::from(count) / f64::from(*episodes));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let stays = format!("{asked} stays");
    let declined = format!("only {asked} moves");
    table.set_header(vec!["move", "made", "the same", "another", &stays, &declined]);
    let mut total = (0, 0, 0, 0);
    for ((purpose, moves), &declined) in
        explained.purposes.iter().zip(decisions.moves).zip(&decisions.declined)
    {
        total.0 += moves.made;
        total.1 += moves.same;
        total.2 += moves.other;
        total.3 += declined;
        let stays = moves.made - moves.same - moves.other;
        if moves.made + declined > 0 {
            table
                .add_row(std::iter::once(purpose.label().to_owned()).chain(
                    [moves.made, moves.same, moves.other, stays, declined].map(per_episode),
                ));
        }
    }
    let stays = total.0 - total.1 - total.2;
    let sums = [total.0, total.1, total.2, stays, total.3].map(per_episode);
    table.add_row(std::iter::once("all".to_owned()).chain(sums));
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!(
        "{scenario}: moves of {policy} per episode ({episodes} held-out episodes, {:.1} decisions \
         each), and what {asked} would do in the same states\n{}",
        f64::from(decisions.decisions) / f64::from(*episodes),
        table.trim_fmt()
    )
}
