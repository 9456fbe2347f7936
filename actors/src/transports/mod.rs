//! Ways out: SMTP, an SMS API, and the inbox of development.
