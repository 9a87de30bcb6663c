"""The exercises: for each, wrong answers that its test must tell apart."""
