//! docs/mqtt-conformance.md lists every normative statement of both specifications, with the test that covers it.

