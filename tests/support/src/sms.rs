//! An HTTP server shaped like the SMS API.
