//! The pages in a real browser: tasks from end to end.

mod journeys;
