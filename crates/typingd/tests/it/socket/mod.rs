//! The socket, as a browser and as a stranger meet it.

mod client;
mod talk;
