//! Placeholders in commands and templates.
