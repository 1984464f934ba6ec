"""Programs with the mistakes that forums and reviews of code show: of loops, rows, networks and sequences."""
