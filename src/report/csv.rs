//! The figures as comma-separated values, for spreadsheets and notebooks.

use godwit_evaluate::stats::Estimate;
use godwit_evaluate::{Evaluation, PolicyResult};

/// One row per policy, highest mean return first. Empty cells are figures that do not exist.
///
/// # Errors
/// None: the text is kept in memory.
pub fn results(evaluation: &Evaluation) -> anyhow::Result<Vec<u8>> {
    let terms: Vec<&str> = evaluation.start.terms.keys().copied().collect();
    let mut header: Vec<String> =
        ["scenario", "policy", "trained", "parameters"].map(Into::into).into();
    for name in ["return", "interquartile_mean", "ahead", "probability_of_improvement"] {
        header.extend([name.to_owned(), format!("{name}_low"), format!("{name}_high")]);
    }
    header.push("gap".into());
    header.extend(terms.iter().map(|&term| term.to_owned()));
    header.extend(["slots", "moves", "oscillations", "moved_gib"].map(String::from));
    header.extend(["restarts", "downtime_s"].map(String::from));
    header.extend(["decisions_per_s", "decision_us_p50", "decision_us_p99"].map(String::from));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for policy in &evaluation.policies {
        let mut row =
            vec![evaluation.scenario.clone(), policy.name.clone(), policy.trained.to_string()];
        row.push(super::rows::parameters(policy).unwrap_or_default());
        let comparison = policy.comparison;
        for estimate in [
            Some(policy.mean_return),
            Some(policy.interquartile_mean),
            comparison.map(|comparison| comparison.difference),
            comparison.map(|comparison| comparison.probability_of_improvement),
        ] {
            let cells = |Estimate { value, low, high }| [value, low, high].map(|x| x.to_string());
            row.extend(estimate.map_or([const { String::new() }; 3], cells));
        }
        row.push(optional(policy.gap));
        row.extend(terms.iter().map(|&term| optional(policy.state.terms.get(term).copied())));
        row.push(optional(policy.state.slots));
        row.extend(figures(policy).map(|figure| figure.to_string()));
        writer.write_record(&row)?;
    }
    Ok(writer.into_inner()?)
}

fn figures(policy: &PolicyResult) -> [f64; 8] {
    [
        policy.moves,
        policy.oscillations,
        policy.moved_gib,
        policy.restarts,
        policy.downtime_s,
        policy.decisions_per_s,
        policy.decision_us_p50,
        policy.decision_us_p99,
    ]
}

fn optional(figure: Option<f64>) -> String {
    figure.map_or_else(String::new, |figure| figure.to_string())
}

/// One row per policy and episode.
///
/// # Errors
/// None: the text is kept in memory.
pub fn episodes(evaluation: &Evaluation) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "scenario",
        "policy",
        "seed",
        "return",
        "moves",
        "oscillations",
        "moved_gib",
        "downtime_s",
    ])?;
    for policy in &evaluation.policies {
        for (i, episode) in policy.episodes.iter().enumerate() {
            writer.write_record([
                evaluation.scenario.clone(),
                policy.name.clone(),
                evaluation.first_seed.wrapping_add(i as u64).to_string(),
                episode.episode_return.to_string(),
                episode.moves.to_string(),
                episode.oscillations.to_string(),
                episode.moved_gib.to_string(),
                episode.downtime_s.to_string(),
            ])?;
        }
    }
    Ok(writer.into_inner()?)
}
