//! The gRPC services that other programs' adapters call.
