//! Errors and medians.

/// Any error: the kit shows it and ends.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The middle one, or the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.get((values.len().max(1) - 1) / 2), values.get(values.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}
