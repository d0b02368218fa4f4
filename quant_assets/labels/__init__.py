"""What happened next: the targets models learn. Every label says when its span begins and when it became known; features live elsewhere."""
