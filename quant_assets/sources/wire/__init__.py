"""Every HTTP exchange with a vendor. A vendor file declares a `Policy` and hands its client one of the `over_*` transports."""
