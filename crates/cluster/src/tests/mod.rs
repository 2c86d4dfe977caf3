//! Links and peers over a network that loses, repeats and mixes up what it is given.

mod links;
mod nodes;
