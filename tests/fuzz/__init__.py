"""Bodies and pages made up and broken, and what the decoders make of them."""
