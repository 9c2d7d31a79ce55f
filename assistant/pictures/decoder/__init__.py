"""Process that decodes pictures, so that no file can stop, crash or fill the app."""
