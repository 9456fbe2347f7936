//! The pages in a real browser: what every page must be (`checks`, for all of `list`), and tasks from end to end
//! (`journeys`); and posts that others forge (`forged`).

mod checks;
mod console;
mod console_things;
mod forged;
mod headers;
mod journeys;
mod list;
mod neighbour;
mod settings;
mod signin;
