"""Many runs of one set with other knobs, and which of them is the best."""
