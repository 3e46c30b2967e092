//! Spaces: what is accepted can be searched. Every suggestion of every sampler fits the space, is canonical, and comes
//! back from its encoding; finite spaces are numbered without gaps; a space that grows keeps what was valid valid.
//!
//! Input: JSON text of a space (a second line: an edit of it), or, where that is no JSON, bytes that choose one.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use metaopt_engine::{
    Ask, History, Record, RecordState,
    codec::{Axis, Cell, Codec},
    sampler,
    samplers::NAMES,
};
use metaopt_schema::{
    space::{Params, Space},
    study::{SamplerSpec, validate},
};
use serde_json::{Map, Value, json};

pub fn run(data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).ok();
    let mut values = serde_json::Deserializer::from_slice(data).into_iter::<Value>();
    let (first, edit) = match values.next().filter(|_| text.is_some()) {
        Some(Ok(value)) => (value, values.next().and_then(Result::ok)),
        _ => {
            let mut choose = Unstructured::new(data);
            let Ok(first) = a_space(&mut choose) else { return false };
            (first, a_space(&mut choose).ok())
        }
    };
    let Some(space) = parse(&first) else { return false };
    assert_eq!(parse(&serde_json::to_value(&space).expect("JSON")).as_ref(), Some(&space), "it is read back as it is");
    let valid = search(&space);
    let (merged, errors) = space.merge(&space);
    assert_eq!((&merged, errors.len()), (&space, 0), "a space merged with itself: {errors:?}");
    let edit = edit.and_then(|edit| Space::parse_edit(&edit).ok());
    if let Some(edit) = &edit {
        grow(&space, edit, &valid);
    }
    true
}

fn parse(space: &Value) -> Option<Space> {
    let study = json!({"name": "s", "space": space, "objectives": [{"metric": "loss", "direction": "minimize"}]});
    validate::parse_study(&study).ok().map(|def| def.space)
}

/// Suggestions of all samplers, checked.
fn search(space: &Space) -> Vec<Params> {
    let codec = Codec::new(space);
    let mut valid = vec![codec.decode(&codec.start())];
    if let Some(cells) = codec.numbering() {
        assert!(cells.size() >= 1);
        let last = cells.size() - 1;
        for index in [0, 1, 2, last / 3, last / 2, last.saturating_sub(1), last] {
            if index <= last {
                let cells = cells.nth(index);
                let cell = |cell: Option<u64>| cell.map_or(Cell::Off, Cell::Index);
                valid.push(codec.decode(&codec.config(cells.into_iter().map(cell).collect())));
            }
        }
    }
    let mut history = History::new(space, 1);
    for (round, name) in NAMES.into_iter().cycle().take(2 * NAMES.len()).enumerate() {
        // A small start-up, so that models are reached.
        let models = !["random", "sobol", "grid"].contains(&name);
        let options = if models { [("n_startup_trials".to_owned(), json!(2))].into() } else { Default::default() };
        let Ok(sampler) = sampler(&SamplerSpec { name: name.into(), seed: Some(7), options }) else { continue };
        let ask = Ask {
            history: &history,
            seed: 7,
            slot: 0,
            draw: round as u64,
            members: &[],
            me: 0,
            budget_left: Some(100),
        };
        let Ok(suggestion) = sampler.suggest(&ask) else { continue };
        assert_eq!(Ok(&suggestion), sampler.suggest(&ask).as_ref(), "the same question, another answer");
        let record = Record {
            order: round as u64,
            done: round as u64,
            key: round as u64,
            state: RecordState::Complete,
            costs: vec![round as f64 * 0.37],
            fit: suggestion.fit.clone(),
            ..Record::default()
        };
        history.upsert(record, || suggestion.params.clone());
        valid.push(suggestion.params);
    }
    for params in &valid {
        assert_eq!(
            space.check_params(params).as_ref(),
            Ok(params),
            "a suggestion that does not fit its space: {space:?}"
        );
        let config = codec.encode(params).unwrap_or_else(|| panic!("{params:?} fits and can't be encoded"));
        assert_eq!(&codec.decode(&config), params, "it changes by encoding and decoding");
        assert_eq!(codec.encode(params).map(|again| again.id), Some(config.id));
        assert_eq!(space.active(params), params.keys().collect::<Vec<_>>());
        for (i, u) in config.u.iter().enumerate() {
            let choice = matches!(codec.axes()[i], Axis::Choice { .. });
            assert!(u.is_nan() || choice || (0.0..=1.0).contains(u), "coordinate {u}");
        }
    }
    valid
}

/// A space that grows keeps what was valid valid, whatever the edit says.
fn grow(space: &Space, edit: &Space, valid: &[Params]) {
    let (grown, errors) = space.merge(edit);
    let json = serde_json::to_value(&grown).expect("JSON");
    assert_eq!(parse(&json).as_ref(), Some(&grown), "it grew into a space that would be refused");
    for params in valid {
        if let Err(errors) = grown.check_params_with_defaults(params) {
            panic!("{params:?} was valid before {edit:?}: {errors:?}");
        }
    }
    let strict = space.extend(edit);
    if let Ok(strict) = &strict {
        assert_eq!((strict, errors.len()), (&grown, 0), "what a person may ask, a merge takes");
    }
    assert_eq!(grown.merge(edit).0, grown, "the same edit twice");
    search(&grown);
}

fn number(choose: &mut Unstructured<'_>) -> Result<f64> {
    Ok(match choose.int_in_range(0..=6)? {
        0 => f64::from(choose.arbitrary::<i8>()?),
        1 => f64::from(choose.arbitrary::<i8>()?) / 100.0,
        2 => f64::from(choose.arbitrary::<i32>()?) / 1024.0,
        3 => 10f64.powi(choose.int_in_range(-320..=308)?),
        4 => *choose.choose(&[0.0, -0.0, 1e-5, 0.1, 0.3, 1.0, f64::MIN_POSITIVE, f64::MAX, f64::MIN, f64::EPSILON])?,
        5 => f64::from(choose.arbitrary::<f32>()?),
        _ => choose.arbitrary()?,
    })
}

fn whole(choose: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match choose.int_in_range(0..=4)? {
        0 | 1 => i64::from(choose.arbitrary::<i8>()?),
        2 => i64::from(choose.arbitrary::<i32>()?),
        3 => *choose.choose(&[0, 1, -1, 1 << 53, -(1 << 53), i64::MAX, i64::MIN, (1 << 53) - 1])?,
        _ => choose.arbitrary()?,
    })
}

fn choices(choose: &mut Unstructured<'_>) -> Result<Value> {
    let all = [
        json!("a"),
        json!("b"),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!("1"),
        json!(null),
        json!(true),
        json!(-0.0),
        json!(1e300),
    ];
    let mut list = Vec::new();
    for _ in 0..choose.int_in_range(1..=5)? {
        list.push(choose.choose(&all)?.clone());
    }
    Ok(list.into())
}

/// A space of the right shape, with values of any kind.
fn a_space(choose: &mut Unstructured<'_>) -> Result<Value> {
    let mut params: Vec<Value> = Vec::new();
    for i in 0..choose.int_in_range(1..=5)? {
        let mut param = Map::new();
        param.insert("name".into(), format!("p{i}").into());
        let kind = *choose.choose(&["float", "int", "categorical", "ordinal", "bool", "fidelity", "float", "int"])?;
        param.insert("type".into(), kind.into());
        match kind {
            "float" => {
                let (a, b) = (number(choose)?, number(choose)?);
                param.insert("low".into(), json!(a.min(b)));
                param.insert("high".into(), json!(a.max(b)));
                if choose.ratio(1, 3)? {
                    param.insert("step".into(), json!(number(choose)?.abs()));
                }
            }
            "int" | "fidelity" => {
                let (a, b) = (whole(choose)?, whole(choose)?);
                param.insert("low".into(), json!(a.min(b)));
                param.insert("high".into(), json!(a.max(b)));
                if kind == "int" && choose.ratio(1, 3)? {
                    param.insert("step".into(), json!(whole(choose)?));
                }
            }
            "categorical" | "ordinal" => drop(param.insert("choices".into(), choices(choose)?)),
            _ => {}
        }
        if matches!(kind, "float" | "int") {
            if choose.ratio(1, 4)? {
                param.insert("log".into(), true.into());
            }
            if choose.ratio(1, 4)? {
                param.insert("prior".into(), json!({"normal": [number(choose)?, number(choose)?.abs()]}));
            }
            if choose.ratio(1, 2)? {
                let end = *choose.choose(&["low", "high"])?;
                param.insert("default".into(), param[end].clone());
            }
        }
        if i > 0 && kind != "fidelity" && choose.ratio(1, 3)? {
            let parent = &params[choose.int_in_range(0..=i - 1)?];
            let values = match parent["type"].as_str() {
                Some("bool") => json!([choose.arbitrary::<bool>()?]),
                Some("categorical" | "ordinal") => json!([parent["choices"][0]]),
                _ => json!([parent["low"]]),
            };
            param.insert("when".into(), json!({parent["name"].as_str().unwrap_or_default(): values}));
        }
        params.push(param.into());
    }
    Ok(params.into())
}
