//! Groups nest clients, channels and other groups.
