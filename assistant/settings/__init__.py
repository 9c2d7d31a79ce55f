"""One settings object: defaults < configuration file < PHICHAT_* environment < flags."""
