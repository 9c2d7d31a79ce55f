"""The screens of the app: the chat and the few dialogs above it."""
