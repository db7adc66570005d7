"""Layouts: from plain data to what stands on a stage. None of them knows a system."""
