"""Hardware of this machine and the memory plan, made before anything loads."""
