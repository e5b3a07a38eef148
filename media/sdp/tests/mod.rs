//! Tests of session descriptions: fixtures of real clients, each rule, and a model of a whole meeting.

mod answers;
mod fixtures;
mod meeting;
mod offers;
mod texts;
