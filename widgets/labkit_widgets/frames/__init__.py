"""What three systems' views do not add up yet: frozen data for their panels. No widget is imported here."""
