"""The commands: flags to calls, nothing else. None imports TensorFlow to say --help."""
