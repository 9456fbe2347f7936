//! A real SMTP server.
