//! RFC 6455 frame by frame, in the order of the Autobahn test suite's sections: what is taken, what is refused, and by
//! which close code. Where the suite looks for its echo, these look for the answer to a text that asks for one.

mod close;
mod control;
mod fragments;
mod headers;
mod hostile;
mod over_tcp;
mod payloads;
mod random;
mod table;
mod utf8;
