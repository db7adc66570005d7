"""The panels: what each shows of its system's view, as data. What they share is `labkit_widgets.panel`."""
