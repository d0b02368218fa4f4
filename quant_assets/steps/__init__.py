"""One function a table: read what the night may know, prove it complete, compute, write. The orchestrator only calls these."""
