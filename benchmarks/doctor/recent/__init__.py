"""Programs in kinds that no other part has, by an author who had not read the checks of the doctor."""
