#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use super::*;
use crate::lanes::LANES;
use proptest::prelude::*;

const RESOURCES: [&str; 3] = ["cpu", "memory", "nvidia.com/gpu"];

/// Supplies are powers of two, so that utilisations are exact.
const SUPPLY: [f32; 3] = [8.0, 16.0, 0.0];

fn parse(text: &str) -> Result<Expression, ExpressionError> {
    Expression::parse(text, &RESOURCES)
}

/// The value of nodes that hold this much.
fn evaluate<const W: usize>(expression: &Expression, used: [[f32; W]; 3]) -> [f32; W] {
    let supply = SUPPLY.map(|supply| [supply; W]);
    let inverse = SUPPLY.map(|supply| [if supply > 0.0 { 1.0 / supply } else { 0.0 }; W]);
    expression.evaluate(Nodes { used: &used, supply: &supply, inverse_supply: &inverse })
}

/// The value of a node that holds 6 of 8 cores, 4 of 16 of memory and no GPU, of which it has none.
fn value(text: &str) -> f32 {
    evaluate(&parse(text).unwrap(), [[6.0], [4.0], [0.0]])[0]
}

fn error(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn an_expression_is_worth_what_it_is_by_hand() {
    for (text, expected) in [
        ("sum(utilisation.cpu)", 0.75),
        ("sum(used.memory + supply.cpu)", 12.0),
        ("sum(free.cpu)", 2.0),
        ("sum(load)", 1.0),
        ("sum(1 + 2 * 3)", 7.0),
        ("sum((1 + 2) * 3)", 9.0),
        ("sum(7 - 2 - 1)", 4.0),
        ("sum(8 / 4 / 2)", 1.0),
        ("sum(-2 * -3)", 6.0),
        ("sum(2 - -3)", 5.0),
        ("sum(- (1 + 2))", -3.0),
        ("sum(max(0, utilisation.cpu - 0.5) * 4)", 1.0),
        ("max(max(1, 2))", 2.0),
        ("mean(min(load, .5))", 0.5),
        ("sum(abs(used.memory - used.cpu))", 2.0),
        ("sum(sqrt(used.memory))", 2.0),
        ("sum(1.5e1 + 2E-1 * 10)", 17.0),
        ("sum( utilisation . \"cpu\" )", 0.75),
        ("sum(supply.\"nvidia.com/gpu\" + 3)", 3.0),
        // What has no value counts as 0.
        ("sum(1 / 0)", 0.0),
        ("sum(1 / supply.\"nvidia.com/gpu\")", 0.0),
        ("sum(sqrt(-1))", 0.0),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
    let aggregate = |text| parse(text).unwrap().aggregate;
    assert_eq!(aggregate("sum(1)"), Aggregate::Sum);
    assert_eq!(aggregate("mean(1)"), Aggregate::Mean);
    assert_eq!(aggregate("max(1)"), Aggregate::Max);
}

#[test]
fn a_node_that_holds_more_than_it_supplies_has_nothing_free() {
    let free = parse("sum(free.cpu)").unwrap();
    assert_eq!(evaluate(&free, [[9.0], [0.0], [0.0]]), [0.0]);
}

#[test]
fn what_overflows_counts_as_the_bound() {
    assert_eq!(value("sum(1e30 * 1e30)"), 1e12);
    assert_eq!(value("sum(-1e30 * 1e30)"), -1e12);
    // Infinity less infinity.
    assert_eq!(value("sum(1e30 * 1e30 - 1e30 * 1e30)"), 1e12);
    assert_eq!(value("sum(1 / (1e30 * 1e30))"), 0.0);
}

#[test]
fn errors_say_where_what_was_expected_and_what_was_got() {
    const FACTOR: &str = "a number, load, utilisation.NAME, used.NAME, supply.NAME, free.NAME, \
                          max(a, b), min(a, b), abs(a), sqrt(a), - or (";
    let known = "one of the scenario's resources (cpu, memory, nvidia.com/gpu)";
    for (text, expected) in [
        ("", "character 1: expected sum(...), mean(...) or max(...) over the nodes, got the end"),
        (
            "utilisation.cpu",
            "character 1: expected sum(...), mean(...) or max(...) over the nodes, got \"utilisation\"",
        ),
        ("sum", "character 4: expected (, got the end"),
        ("sum(", &format!("character 5: expected {FACTOR}, got the end")),
        ("sum(1", "character 6: expected an operator or ), got the end"),
        ("sum(1) * 2", "character 8: expected the end, got \"*\""),
        ("sum(1 2)", "character 7: expected an operator or ), got \"2\""),
        ("sum(1 + )", &format!("character 9: expected {FACTOR}, got \")\"")),
        ("sum(cpu)", &format!("character 5: expected {FACTOR}, got \"cpu\"")),
        ("sum(utilisation)", "character 16: expected . and a resource, got \")\""),
        (
            "sum(used.memroy)",
            &format!("character 10: expected {known} (nearest: memory), got \"memroy\""),
        ),
        ("sum(used.disk)", &format!("character 10: expected {known}, got \"disk\"")),
        ("sum(used.)", &format!("character 10: expected {known}, got \")\"")),
        ("sum(used.\"a b\")", &format!("character 10: expected {known}, got \"a b\"")),
        ("sum(used.\"cpu)", "character 15: expected \" at the end of a name, got the end"),
        ("sum(max(1))", "character 10: expected an operator or ,, got \")\""),
        ("sum(abs(1, 2))", "character 10: expected an operator or ), got \",\""),
        ("max(1, 2)", "character 6: expected an operator or ), got \",\""),
        ("sum(1e99)", "character 5: expected a finite number, got \"1e99\""),
        ("sum(.)", "character 5: expected a finite number, got \".\""),
        ("sum(é)", &format!("character 5: expected {FACTOR}, got \"é\"")),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn what_is_nested_too_deep_or_too_long_is_refused() {
    let nested = |open: &str, close: &str, times: usize| {
        format!("sum({}1{})", open.repeat(times), close.repeat(times))
    };
    for (open, close) in [("(", ")"), ("-", ""), ("abs(", ")"), ("max(", ", 0)")] {
        assert!(parse(&nested(open, close, 31)).is_ok(), "{open}");
        let at = 5 + 32 * open.len();
        assert_eq!(
            error(&nested(open, close, 32)),
            format!("character {at}: expected at most 32 levels within each other, got \"1\"")
        );
    }
    // In each level one value waits for the next.
    assert!(parse(&nested("max(0, ", ")", 15)).is_ok());
    assert_eq!(
        error(&nested("max(0, ", ")", 16)),
        "character 118: expected at most 16 values that wait for each other, got \")\""
    );
    let endless = nested("(", ")", 1_000_000);
    assert_eq!(error(&endless), "character 1: expected at most 1000 bytes, got 2000006");
    assert!(parse(&format!("sum(1{})", " + 1".repeat(248))).is_ok());
}

/// An expression as a tree, with a value of its own.
#[derive(Debug, Clone)]
enum Tree {
    Number(f32),
    Read(&'static str, usize),
    Load,
    One(&'static str, Box<Tree>),
    Two(&'static str, Box<Tree>, Box<Tree>),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Read(quantity, j) => format!("{quantity}.\"{}\"", RESOURCES[*j]),
            Self::Load => "load".to_owned(),
            Self::One("-", a) => format!("-({})", a.text()),
            Self::One(name, a) => format!("{name}({})", a.text()),
            Self::Two(name @ ("max" | "min"), a, b) => {
                format!("{name}({}, {})", a.text(), b.text())
            }
            Self::Two(name, a, b) => format!("({}) {name} ({})", a.text(), b.text()),
        }
    }

    fn value(&self, used: [f32; 3]) -> f32 {
        let utilisation = |j: usize| if SUPPLY[j] > 0.0 { used[j] / SUPPLY[j] } else { 0.0 };
        match self {
            Self::Number(number) => *number,
            Self::Read("utilisation", j) => utilisation(*j),
            Self::Read("used", j) => used[*j],
            Self::Read("supply", j) => SUPPLY[*j],
            Self::Read(_, j) => (SUPPLY[*j] - used[*j]).max(0.0),
            Self::Load => (0..3).map(utilisation).sum(),
            Self::One(name, a) => match (*name, a.value(used)) {
                ("-", a) => -a,
                ("abs", a) => a.abs(),
                (_, a) => a.max(0.0).sqrt(),
            },
            Self::Two(name, a, b) => match (*name, a.value(used), b.value(used)) {
                ("+", a, b) => a + b,
                ("-", a, b) => a - b,
                ("*", a, b) => a * b,
                ("/", _, 0.0) => 0.0,
                ("/", a, b) => a / b,
                ("max", a, b) => a.max(b),
                (_, a, b) => a.min(b),
            },
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let quantity = prop::sample::select(vec!["utilisation", "used", "supply", "free"]);
    let leaf = prop_oneof![
        (0_u32..40).prop_map(|quarters| Tree::Number(quarters as f32 / 4.0)),
        (quantity, 0_usize..3).prop_map(|(quantity, j)| Tree::Read(quantity, j)),
        Just(Tree::Load),
    ];
    leaf.prop_recursive(5, 32, 2, |inner| {
        let one = prop::sample::select(vec!["-", "abs", "sqrt"]);
        let two = prop::sample::select(vec!["+", "-", "*", "/", "max", "min"]);
        prop_oneof![
            (one, inner.clone()).prop_map(|(name, a)| Tree::One(name, Box::new(a))),
            (two, inner.clone(), inner).prop_map(|(name, a, b)| Tree::Two(
                name,
                Box::new(a),
                Box::new(b)
            )),
        ]
    })
}

proptest! {
    #[test]
    fn a_text_is_worth_what_its_tree_is_on_one_node_and_on_many(
        tree in trees(),
        used in prop::array::uniform3(prop::array::uniform16(0_u32..80)),
    ) {
        let expression = parse(&format!("sum({})", tree.text())).unwrap();
        let used = used.map(|lanes| lanes.map(|eighths| eighths as f32 / 8.0));
        let values: [f32; LANES] = evaluate(&expression, used);
        for l in 0..LANES {
            let own = used.map(|lanes| lanes[l]);
            let [alone] = evaluate(&expression, own.map(|used| [used]));
            prop_assert_eq!(alone.to_bits(), values[l].to_bits());
            // The bound is not the tree's.
            let expected = tree.value(own);
            prop_assert!(alone == expected || expected.abs() >= MOST || expected.is_nan());
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn nothing_that_looks_like_an_expression_makes_it_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "sum(", "max(", "min(", "abs(", "sqrt(", "(", ")", ",", "+", "-", "*", "/", "load",
                "used.", "free.", "utilisation.", "cpu", "memory", "\"nvidia.com/gpu\"", "\"", "1",
                ".5", "2e", "e9", " ", "é",
            ]),
            0..40,
        ),
    ) {
        if let Ok(expression) = parse(&format!("sum({})", parts.concat())) {
            prop_assert!(evaluate(&expression, [[6.0], [4.0], [0.0]])[0].is_finite());
        }
    }
}
